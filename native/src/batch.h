// The int32 tables shared with JavaScript. Mirrors src/packet/frame-batch.ts: change both together.
#pragma once

#include <cstdint>

namespace drawbridge {

// Columns of a descriptor row.
enum DescColumn : uint32_t {
  D_PORT = 0,
  D_OFF = 1,
  D_LEN = 2,
  D_WIRE_LEN = 3,
  D_VNET_FLAGS = 4,
  D_GSO_TYPE = 5,
  D_HDR_LEN = 6,
  D_GSO_SIZE = 7,
  D_CSUM_START = 8,
  D_CSUM_OFF = 9,
  D_TS_SEC = 10,
  D_TS_USEC = 11,
  D_FRAME_NO = 12,
  D_LINK_TYPE = 13,
  D_STRIDE = 16,
};

// Columns of a transmit row.
enum TxColumn : uint32_t {
  T_DESC = 0,
  T_PORT = 1,
  T_STATUS = 2,
  T_VLAN = 3,
  T_STRIDE = 4,
};

constexpr int32_t kTagKeep = -1;
constexpr int32_t kTagStrip = 0;

constexpr int32_t kLinkTypeEthernet = 1;

// Largest frame the kernel hands over whole: 64 KiB of GSO payload plus headers, rounded up.
constexpr uint32_t kMaxFrame = 65536 + 256;

// Frames start on a cache line.
constexpr uint32_t kFrameAlign = 64;
constexpr uint32_t AlignFrame(uint32_t n) { return (n + kFrameAlign - 1) & ~(kFrameAlign - 1); }

// The offload fields of a virtio_net_hdr, in host byte order (the kernel's TAP and AF_PACKET use the legacy layout,
// which is native-endian). 12-byte headers append num_buffers, always zero here.
struct VnetHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t hdr_len;
  uint16_t gso_size;
  uint16_t csum_start;
  uint16_t csum_offset;
};
static_assert(sizeof(VnetHeader) == 10, "the layout is the kernel's");

constexpr uint32_t kMaxVnetHeader = 12;
constexpr uint8_t kVnetNeedsCsum = 1;
constexpr uint8_t kGsoNone = 0;
constexpr uint8_t kGsoTcpV4 = 1;
constexpr uint8_t kGsoUdp = 3;
constexpr uint8_t kGsoTcpV6 = 4;
constexpr uint8_t kGsoUdpL4 = 5;
constexpr uint8_t kGsoEcn = 0x80;

// Offload columns of a descriptor row as a header. Values JavaScript put out of range are truncated; everything that
// is derived from them is checked against the frame before it is used.
inline VnetHeader VnetOfRow(const int32_t* d) {
  VnetHeader v;
  v.flags = static_cast<uint8_t>(d[D_VNET_FLAGS] & kVnetNeedsCsum);
  v.gso_type = static_cast<uint8_t>(d[D_GSO_TYPE]);
  v.hdr_len = static_cast<uint16_t>(d[D_HDR_LEN]);
  v.gso_size = static_cast<uint16_t>(d[D_GSO_SIZE]);
  v.csum_start = static_cast<uint16_t>(d[D_CSUM_START]);
  v.csum_offset = static_cast<uint16_t>(d[D_CSUM_OFF]);
  return v;
}

}  // namespace drawbridge
