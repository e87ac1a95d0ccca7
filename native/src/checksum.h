// Internet checksum (RFC 1071).
#pragma once

#include <cstddef>
#include <cstdint>

namespace drawbridge {

// Ones-complement sum of the bytes as big-endian 16-bit words (an odd last byte is padded with zero), added to
// `initial` and folded to 16 bits; not inverted.
uint16_t ChecksumAdd(const uint8_t* p, size_t n, uint32_t initial);

inline uint16_t FoldSum(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// The value for a TCP, UDP or ICMPv6 checksum field. Zero is written as 0xffff: the same number in ones complement,
// and in UDP zero would mean "not computed" (RFC 768).
inline uint16_t ChecksumField(uint16_t sum) {
  const uint16_t field = static_cast<uint16_t>(~sum);
  return field == 0 ? 0xffff : field;
}

}  // namespace drawbridge
