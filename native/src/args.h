// Everything that crosses from JavaScript passes through here: types and bounds are checked once, and a failed check
// leaves a JavaScript exception pending and returns false, so that callers read `if (!args.Int(...)) return nullptr`.
#pragma once

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace drawbridge {

template <typename T>
struct Span {
  T* data = nullptr;
  size_t size = 0;
};

// Each throws and returns nullptr, the value a callback returns after throwing.
napi_value ThrowType(napi_env env, const char* format, ...) __attribute__((format(printf, 2, 3)));
napi_value ThrowRange(napi_env env, const char* format, ...) __attribute__((format(printf, 2, 3)));
napi_value ThrowError(napi_env env, const char* format, ...) __attribute__((format(printf, 2, 3)));
// Error with .code ("EPERM"), .errno (negative, as Node's own) and .syscall.
napi_value ThrowErrno(napi_env env, const char* syscall, int err, const char* subject = nullptr);
// Error with one extra integer property (.pattern, .offset).
napi_value ThrowErrorWith(napi_env env, const std::string& message, const char* property, int64_t value);

bool GetInt(napi_env env, napi_value value, const char* name, int64_t min, int64_t max, int64_t* out);
bool GetBytes(napi_env env, napi_value value, const char* name, Span<uint8_t>* out);
bool GetInt32Array(napi_env env, napi_value value, const char* name, Span<int32_t>* out);
bool GetUint32Array(napi_env env, napi_value value, const char* name, Span<uint32_t>* out);
// Text whose code units are all 1..255 (`allow_nul` also 0): bytes, not characters.
bool GetLatin1(napi_env env, napi_value value, const char* name, bool allow_nul, std::string* out);
// Interface name: 1..15 bytes, without '/', ':' or white space (the kernel's dev_valid_name).
bool GetInterfaceName(napi_env env, napi_value value, std::string* out);

// Optional property of an options object: leaves `out` (and `present`) alone when it is undefined.
bool GetOptionalBool(napi_env env, napi_value object, const char* key, bool* out, bool* present = nullptr);
bool GetOptionalInt(napi_env env, napi_value object, const char* key, int64_t min, int64_t max, int64_t* out,
                    bool* present = nullptr);
// True when `value` is an object or undefined; `given` says which.
bool GetOptions(napi_env env, napi_value value, bool* given);

bool IsUndefined(napi_env env, napi_value value);
napi_value MakeInt(napi_env env, int64_t value);
napi_value MakeString(napi_env env, const std::string& latin1);
napi_value MakeBool(napi_env env, bool value);
napi_value Undefined(napi_env env);
bool SetProperty(napi_env env, napi_value object, const char* key, napi_value value);

// The arguments of one call; missing ones read as undefined and fail the type check.
template <size_t N>
struct Args {
  napi_env env;
  napi_value self = nullptr;
  napi_value v[N];
  size_t count = N;

  Args(napi_env e, napi_callback_info info) : env(e) { napi_get_cb_info(e, info, &count, v, &self, nullptr); }

  bool Int(size_t i, const char* name, int64_t min, int64_t max, int64_t* out) const {
    return GetInt(env, v[i], name, min, max, out);
  }
  template <typename T>
  bool Int(size_t i, const char* name, int64_t min, int64_t max, T* out) const {
    int64_t wide;
    if (!GetInt(env, v[i], name, min, max, &wide)) return false;
    *out = static_cast<T>(wide);
    return true;
  }
  bool Bytes(size_t i, const char* name, Span<uint8_t>* out) const { return GetBytes(env, v[i], name, out); }

  // The common triple buf, off, len: a window that lies inside the array.
  bool Window(size_t i, Span<uint8_t>* out) const {
    Span<uint8_t> buf;
    int64_t off, len;
    if (!GetBytes(env, v[i], "buf", &buf)) return false;
    const int64_t size = static_cast<int64_t>(buf.size);
    if (!GetInt(env, v[i + 1], "off", 0, size, &off)) return false;
    if (!GetInt(env, v[i + 2], "len", 0, size - off, &len)) return false;
    out->data = buf.data + off;
    out->size = static_cast<size_t>(len);
    return true;
  }
};

// The native object behind `this`. V8 has checked the receiver against the class's signature; what is left is an
// instance whose constructor threw.
template <typename T>
T* Unwrap(napi_env env, napi_value self) {
  void* p = nullptr;
  if (napi_unwrap(env, self, &p) != napi_ok || p == nullptr) {
    ThrowType(env, "object was not constructed");
    return nullptr;
  }
  return static_cast<T*>(p);
}

}  // namespace drawbridge
