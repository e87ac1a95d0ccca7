// From a frame as the kernel hands it over (maybe a GSO super-frame, maybe with a partial checksum) to the frames that
// would be on a wire. Payload is never copied: a wire frame is a list of pieces.
#pragma once

#include <sys/uio.h>

#include <cstdint>

#include "batch.h"

namespace drawbridge {

constexpr uint32_t kMaxSegmentHeader = 256;

// A frame of the arena after its tag action: `head` (rewritten addresses and tag, may be empty), then `body`.
struct FrameParts {
  uint8_t head[16];
  uint32_t head_len = 0;
  const uint8_t* body = nullptr;
  uint32_t body_len = 0;
  VnetHeader vnet = {};

  uint32_t size() const { return head_len + body_len; }
  // Copies bytes [0, n) of the frame; n <= size().
  void CopyOut(uint32_t n, uint8_t* to) const;
  // Bytes of Ethernet header including up to two tags; 14 for a frame too short to tell.
  uint32_t LinkHeaderLength() const;
};

// Takes the frame data[0, len), applies a T_VLAN action and moves the offload fields along. Returns 0 or an errno.
int ApplyTag(const uint8_t* data, uint32_t len, const VnetHeader& vnet, int32_t tag, FrameParts* out);

// Room for one outgoing frame: bytes that exist nowhere else, and the list of its pieces.
struct TxSlot {
  uint8_t store[kMaxSegmentHeader];
  iovec iov[5];
  uint32_t iov_count = 0;

  void Reset() { iov_count = 0; }
  void Add(const void* p, size_t n) {
    if (n == 0) return;
    iov[iov_count].iov_base = const_cast<void*>(p);
    iov[iov_count].iov_len = n;
    iov_count++;
  }
};

class WireSink {
 public:
  virtual TxSlot* Slot() = 0;
  // The slot last given is complete. Returns 0 or an errno, which stops the frame.
  virtual int Commit() = 0;

 protected:
  ~WireSink() = default;
};

// Emits the frame's wire form: one frame with a complete checksum, or its segments. `mtu` bounds the bytes after the
// link header. Returns 0, EMSGSIZE (too big and not segmentable), EINVAL (offload fields contradict the frame) or the
// sink's error.
int EmitWire(const FrameParts& frame, uint32_t mtu, WireSink* sink);

// For a frame known to carry a partial checksum but no vnet header: finds the field from the headers (TCP and UDP).
bool LocateChecksum(const uint8_t* data, uint32_t len, VnetHeader* vnet);

// Size check for a port that takes the frame whole: 0, EMSGSIZE or EINVAL.
int CheckWhole(const FrameParts& frame, uint32_t mtu);

}  // namespace drawbridge
