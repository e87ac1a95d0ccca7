// Search of one literal in a long range: candidates by its first and last byte, 64 positions at a time, then the bytes
// between. Short ranges are searched in TypeScript: the call costs more than they do.
#include <cstring>
#include <vector>

#include "addon.h"
#include "args.h"
#include "clones.h"

namespace drawbridge {

namespace {

struct Literal {
  // Lower case when `nocase`.
  std::vector<uint8_t> bytes;
  bool nocase = false;
};

uint8_t Lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; }
uint8_t Upper(uint8_t c) { return c >= 'a' && c <= 'z' ? c & 0xdf : c; }

bool EqualAt(const Literal& literal, const uint8_t* p) {
  const size_t n = literal.bytes.size();
  if (!literal.nocase) return memcmp(p, literal.bytes.data(), n) == 0;
  for (size_t i = 0; i < n; i++) {
    if (Lower(p[i]) != literal.bytes[i]) return false;
  }
  return true;
}

constexpr size_t kBlock = 64;

// First block of 64 positions that holds a candidate, in positions [from, blocks * 64); blocks * 64 when there is none.
DRAWBRIDGE_CLONES size_t NextBlock(const uint8_t* p, const uint8_t* q, size_t from, size_t end, uint8_t f, uint8_t f2,
                                   uint8_t l, uint8_t l2) {
  for (size_t at = from; at < end; at += kBlock) {
    uint8_t any = 0;
    for (size_t i = 0; i < kBlock; i++) {
      any |= static_cast<uint8_t>(((p[at + i] == f) | (p[at + i] == f2)) & ((q[at + i] == l) | (q[at + i] == l2)));
    }
    if (any != 0) return at;
  }
  return end;
}

int64_t Find(const Literal& literal, const uint8_t* p, size_t len) {
  const size_t n = literal.bytes.size();
  if (n > len) return -1;
  const size_t positions = len - n + 1;
  const uint8_t f = literal.bytes[0], l = literal.bytes[n - 1];
  const uint8_t f2 = literal.nocase ? Upper(f) : f, l2 = literal.nocase ? Upper(l) : l;
  const uint8_t* q = p + n - 1;
  const size_t whole = positions / kBlock * kBlock;
  size_t at = 0;
  while (at < whole && (at = NextBlock(p, q, at, whole, f, f2, l, l2)) < whole) {
    for (const size_t stop = at + kBlock; at < stop; at++) {
      if ((p[at] == f || p[at] == f2) && (q[at] == l || q[at] == l2) && EqualAt(literal, p + at)) return at;
    }
  }
  for (; at < positions; at++) {
    if ((p[at] == f || p[at] == f2) && EqualAt(literal, p + at)) return at;
  }
  return -1;
}

void FinalizeLiteral(napi_env, void* data, void*) { delete static_cast<Literal*>(data); }

napi_value Construct(napi_env env, napi_callback_info info) {
  Args<2> args(env, info);
  napi_value target;
  if (napi_get_new_target(env, info, &target) != napi_ok || target == nullptr) {
    return ThrowType(env, "class constructor Literal cannot be invoked without 'new'");
  }
  Span<uint8_t> bytes;
  if (!args.Bytes(0, "bytes", &bytes)) return nullptr;
  bool nocase = false;
  if (napi_get_value_bool(env, args.v[1], &nocase) != napi_ok) return ThrowType(env, "nocase must be a boolean");
  if (bytes.size == 0) return ThrowRange(env, "a literal has at least one byte");
  Literal* literal = new Literal();
  literal->bytes.assign(bytes.data, bytes.data + bytes.size);
  literal->nocase = nocase;
  if (nocase) {
    for (uint8_t& c : literal->bytes) c = Lower(c);
  }
  if (napi_wrap(env, args.self, literal, FinalizeLiteral, nullptr, nullptr) != napi_ok) {
    delete literal;
    return nullptr;
  }
  return args.self;
}

// find(buf, off, len): start of the first occurrence within the window, counted from `off`; -1 = none.
napi_value FindCall(napi_env env, napi_callback_info info) {
  Args<3> args(env, info);
  const Literal* literal = Unwrap<Literal>(env, args.self);
  Span<uint8_t> window;
  if (literal == nullptr || !args.Window(0, &window)) return nullptr;
  return MakeInt(env, Find(*literal, window.data, window.size));
}

}  // namespace

bool DefineLiteral(napi_env env, napi_value exports) {
  const napi_property_descriptor members[] = {
      {"find", nullptr, FindCall, nullptr, nullptr, nullptr, napi_default_method, nullptr},
  };
  napi_value cls;
  return napi_define_class(env, "Literal", NAPI_AUTO_LENGTH, Construct, nullptr, sizeof members / sizeof *members, members,
                           &cls) == napi_ok &&
         ExportClass(env, exports, "Literal", cls);
}

}  // namespace drawbridge
