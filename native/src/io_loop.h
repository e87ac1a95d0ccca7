// The batch loop: epoll over many ports, frames read straight into the arena, transmit rows written out. Knows
// nothing of JavaScript; io_loop_binding.cc does.
#pragma once

#include <linux/if_packet.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "batch.h"
#include "frame_stream.h"
#include "segment.h"

namespace drawbridge {

constexpr uint32_t kMaxPorts = 65536;
constexpr uint32_t kMaxBatch = 1024;

enum class PortKind : uint8_t { kTap = 0, kPacket = 1, kStream = 2, kDatagram = 3 };

struct Port {
  int fd = -1;
  PortKind kind = PortKind::kTap;
  uint8_t vnet_hdr_len = 0;
  uint32_t index = 0;
  uint32_t mtu = 0;
  // On the ready list. Registration is edge-triggered, so a port stays on it until a read says EAGAIN.
  bool ready = false;
  // Reads that failed in a row; a dead descriptor must not keep the loop spinning.
  uint8_t failures = 0;
  // Last errno of a failed receive (not EAGAIN), 0 if none.
  int last_error = 0;
  // Only kStream.
  std::unique_ptr<FrameStream> stream;
  // Only kDatagram: where frames go.
  sockaddr_un peer = {};
  uint32_t peer_length = 0;
};

// Frames to one socket, handed to the kernel by sendmmsg; to a TAP one writev at a time, to a stream by its own queue. Owned
// by the loop.
class TxQueue final : public WireSink {
 public:
  TxQueue();
  // Frames committed from here on go to `port`; the row's T_STATUS receives the first errno of its frames.
  void SelectPort(Port* port) { port_ = port; }
  void SelectRow(int32_t* status) { status_ = status; }
  TxSlot* Slot() override;
  int Commit() override;
  // Sends what is queued for the current port.
  void Drain();
  void StartFlush() { retries_ = kRetries; }

 private:
  static constexpr uint32_t kSlots = 64;
  // Waits for a full socket or device queue, per flush: one congested port must not hold up the others.
  static constexpr int kRetries = 4;
  Port* port_ = nullptr;
  int32_t* status_ = nullptr;
  uint32_t queued_ = 0;
  int retries_ = 0;
  TxSlot slots_[kSlots];
  mmsghdr messages_[kSlots];
  int32_t* row_status_[kSlots];
};

class IoLoop {
 public:
  // The tables stay valid as long as the object; sizes in elements.
  IoLoop(uint8_t* arena, size_t arena_size, int32_t* desc, size_t desc_size, int32_t* tx, size_t tx_size,
         uint32_t batch_size);
  ~IoLoop();
  IoLoop(const IoLoop&) = delete;
  IoLoop& operator=(const IoLoop&) = delete;

  // Creates epoll and eventfd. Returns 0 or an errno.
  int Open();
  void Close();
  bool closed() const { return epoll_fd_ < 0; }
  int wake_fd() const { return wake_fd_; }
  uint32_t arena_used() const { return AlignFrame(used_); }
  uint32_t tx_rows() const { return tx_rows_; }

  // Returns 0 or an errno (EEXIST: the index is taken).
  int AddPort(std::unique_ptr<Port> port);
  bool RemovePort(uint32_t index);
  // nullptr when there is no such port.
  Port* FindPort(uint32_t index) const { return index < ports_.size() ? ports_[index].get() : nullptr; }

  uint32_t Receive(int timeout_ms);
  uint32_t Flush(uint32_t count);

 private:
  static constexpr uint32_t kRecvSlots = 32;
  struct Auxiliary {
    alignas(cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(tpacket_auxdata))];
  };

  bool Wait(int timeout_ms);
  void ReadPort(Port* port, uint32_t limit);
  void ReadTap(Port* port, uint32_t limit);
  void ReadPacket(Port* port, uint32_t limit);
  void ReadStream(Port* port, uint32_t limit);
  void StreamEvent(Port* port, uint32_t events);
  bool ConnectStream(Port* port);
  void RetryStreams();
  void MarkReady(Port* port);
  bool RoomFor(uint32_t frames) const;
  bool ReadFailed(Port* port, int err);
  void FillRow(const Port& port, uint32_t off, uint32_t len, uint32_t wire_len, const VnetHeader& vnet);
  void Forget(Port* port);
  int SendRow(const Port& port, const int32_t* row);

  uint8_t* const arena_;
  const size_t arena_size_;
  int32_t* const desc_;
  const uint32_t desc_rows_;
  int32_t* const tx_;
  const uint32_t tx_rows_;
  const uint32_t batch_size_;

  int epoll_fd_ = -1;
  int wake_fd_ = -1;
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<Port*> ready_;  // ports that may have frames, in service order
  int64_t retried_ = 0;       // second of the last attempt to connect streams
  bool retries_ = false;      // some stream has nobody to talk to and must look for itself
  size_t turn_ = 0;           // where the next batch starts in ready_

  // State of the batch being received.
  uint32_t used_ = 0;   // arena bytes taken
  uint32_t rows_ = 0;   // descriptor rows filled
  int32_t now_sec_ = 0, now_usec_ = 0;
  bool clock_read_ = false;
  // Two ports delivered frames lately: until then (microseconds) none may fill a batch alone.
  int64_t contended_until_ = 0;
  uint32_t last_port_ = UINT32_MAX;

  TxQueue queue_;
  mmsghdr recv_messages_[kRecvSlots];
  iovec recv_iov_[kRecvSlots];
  Auxiliary recv_aux_[kRecvSlots];
};

// Wakes a loop blocked in Receive; any thread. False when `fd` is not the wake descriptor of an open loop.
bool WakeLoop(int fd);

}  // namespace drawbridge
