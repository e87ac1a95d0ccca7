#include "checksum.h"

#include <cstring>

#include "addon.h"
#include "args.h"
#include "clones.h"

namespace drawbridge {

namespace {

// Sum of 32-bit words in the host's order. Ones-complement addition does not care about byte order (RFC 1071 section
// 2(B)), so the swap happens once, at the end; 64-bit lanes cannot overflow below 16 GiB.
DRAWBRIDGE_CLONES uint64_t SumWords(const uint8_t* p, size_t words) {
  uint64_t sum = 0;
  for (size_t i = 0; i < words; i++) {
    uint32_t w;
    memcpy(&w, p + i * 4, 4);
    sum += w;
  }
  return sum;
}

}  // namespace

uint16_t ChecksumAdd(const uint8_t* p, size_t n, uint32_t initial) {
  uint64_t sum = SumWords(p, n / 4);
  if ((n & 3) != 0) {
    uint32_t last = 0;
    memcpy(&last, p + (n & ~size_t{3}), n & 3);
    sum += last;
  }
  uint16_t folded = FoldSum(sum);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  folded = __builtin_bswap16(folded);
#endif
  return FoldSum(uint64_t{folded} + initial);
}

napi_value ChecksumCall(napi_env env, napi_callback_info info) {
  Args<4> args(env, info);
  Span<uint8_t> window;
  uint32_t initial;
  if (!args.Window(0, &window) || !args.Int(3, "initial", 0, UINT32_MAX, &initial)) return nullptr;
  return MakeInt(env, ChecksumAdd(window.data, window.size, initial));
}

}  // namespace drawbridge
