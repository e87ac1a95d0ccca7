#include "args.h"

#include <uv.h>

#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <vector>

namespace drawbridge {

namespace {

enum class Kind { kType, kRange, kError };

napi_value Throw(napi_env env, Kind kind, const char* format, va_list ap) {
  char text[512];
  vsnprintf(text, sizeof text, format, ap);
  bool pending = false;
  // A getter on a caller's options object may have thrown already: that exception is the truth.
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending) return nullptr;
  if (kind == Kind::kType) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", text);
  } else if (kind == Kind::kRange) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", text);
  } else {
    napi_throw_error(env, nullptr, text);
  }
  return nullptr;
}

napi_value NewError(napi_env env, const std::string& message) {
  napi_value text, error;
  // Messages quote rule text (latin1) and must never fail to build.
  if (napi_create_string_latin1(env, message.data(), message.size(), &text) != napi_ok) return nullptr;
  if (napi_create_error(env, nullptr, text, &error) != napi_ok) return nullptr;
  return error;
}

template <typename T>
bool GetTyped(napi_env env, napi_value value, const char* name, napi_typedarray_type want, const char* want_name,
              Span<T>* out) {
  napi_typedarray_type type;
  size_t length;
  void* data;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok || type != want) {
    ThrowType(env, "%s must be %s", name, want_name);
    return false;
  }
  out->data = static_cast<T*>(data);
  out->size = length;
  return true;
}

}  // namespace

#define DRAWBRIDGE_THROW(kind)              \
  va_list ap;                               \
  va_start(ap, format);                     \
  napi_value r = Throw(env, kind, format, ap); \
  va_end(ap);                               \
  return r

napi_value ThrowType(napi_env env, const char* format, ...) { DRAWBRIDGE_THROW(Kind::kType); }
napi_value ThrowRange(napi_env env, const char* format, ...) { DRAWBRIDGE_THROW(Kind::kRange); }
napi_value ThrowError(napi_env env, const char* format, ...) { DRAWBRIDGE_THROW(Kind::kError); }

#undef DRAWBRIDGE_THROW

napi_value ThrowErrno(napi_env env, const char* syscall, int err, const char* subject) {
  char code[32];
  char text[128];
  uv_err_name_r(-err, code, sizeof code);
  uv_strerror_r(-err, text, sizeof text);
  std::string message = std::string(code) + ": " + text + ", " + syscall;
  if (subject != nullptr) message = message + " '" + subject + "'";
  napi_value error = NewError(env, message);
  if (error == nullptr) return nullptr;
  SetProperty(env, error, "code", MakeString(env, code));
  SetProperty(env, error, "errno", MakeInt(env, -err));
  SetProperty(env, error, "syscall", MakeString(env, syscall));
  napi_throw(env, error);
  return nullptr;
}

napi_value ThrowErrorWith(napi_env env, const std::string& message, const char* property, int64_t value) {
  napi_value error = NewError(env, message);
  if (error == nullptr) return nullptr;
  SetProperty(env, error, property, MakeInt(env, value));
  napi_throw(env, error);
  return nullptr;
}

bool GetInt(napi_env env, napi_value value, const char* name, int64_t min, int64_t max, int64_t* out) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) {
    ThrowType(env, "%s must be a number", name);
    return false;
  }
  // Written so that NaN fails; bounds are far below 2^53, so the comparison is exact.
  if (!(number >= static_cast<double>(min) && number <= static_cast<double>(max)) || number != std::trunc(number)) {
    ThrowRange(env, "%s must be an integer from %lld to %lld, not %g", name, static_cast<long long>(min),
               static_cast<long long>(max), number);
    return false;
  }
  *out = static_cast<int64_t>(number);
  return true;
}

bool GetBytes(napi_env env, napi_value value, const char* name, Span<uint8_t>* out) {
  return GetTyped(env, value, name, napi_uint8_array, "a Uint8Array", out);
}
bool GetInt32Array(napi_env env, napi_value value, const char* name, Span<int32_t>* out) {
  return GetTyped(env, value, name, napi_int32_array, "an Int32Array", out);
}
bool GetUint32Array(napi_env env, napi_value value, const char* name, Span<uint32_t>* out) {
  return GetTyped(env, value, name, napi_uint32_array, "a Uint32Array", out);
}

bool GetLatin1(napi_env env, napi_value value, const char* name, bool allow_nul, std::string* out) {
  size_t length;
  if (napi_get_value_string_utf16(env, value, nullptr, 0, &length) != napi_ok) {
    ThrowType(env, "%s must be a string", name);
    return false;
  }
  std::vector<char16_t> units(length + 1);
  if (napi_get_value_string_utf16(env, value, units.data(), units.size(), &length) != napi_ok) {
    ThrowType(env, "%s must be a string", name);
    return false;
  }
  out->resize(length);
  for (size_t i = 0; i < length; i++) {
    if (units[i] > 0xff || (units[i] == 0 && !allow_nul)) {
      ThrowType(env, "%s has character U+%04X at index %zu: only latin1 text%s is accepted", name, units[i], i,
                allow_nul ? "" : " without NUL");
      return false;
    }
    (*out)[i] = static_cast<char>(units[i]);
  }
  return true;
}

bool GetInterfaceName(napi_env env, napi_value value, std::string* out) {
  if (!GetLatin1(env, value, "name", false, out)) return false;
  if (out->empty() || out->size() > 15 || *out == "." || *out == ".." ||
      out->find_first_of("/: \t\r\n\f\v") != std::string::npos) {
    ThrowRange(env, "'%.40s' is not an interface name (1 to 15 bytes without '/', ':' and white space)", out->c_str());
    return false;
  }
  return true;
}

bool GetOptions(napi_env env, napi_value value, bool* given) {
  napi_valuetype type;
  napi_typeof(env, value, &type);
  if (type != napi_undefined && type != napi_object) {
    ThrowType(env, "options must be an object");
    return false;
  }
  *given = type == napi_object;
  return true;
}

namespace {
// Reads object[key]; `*present` is false for undefined. Fails only when the property's getter threw.
bool Lookup(napi_env env, napi_value object, const char* key, napi_value* value, bool* present) {
  if (napi_get_named_property(env, object, key, value) != napi_ok) {
    ThrowType(env, "cannot read option %s", key);
    return false;
  }
  *present = !IsUndefined(env, *value);
  return true;
}
}  // namespace

bool GetOptionalBool(napi_env env, napi_value object, const char* key, bool* out, bool* present) {
  napi_value value;
  bool there;
  if (!Lookup(env, object, key, &value, &there)) return false;
  if (present != nullptr) *present = there;
  if (!there) return true;
  if (napi_get_value_bool(env, value, out) != napi_ok) {
    ThrowType(env, "%s must be a boolean", key);
    return false;
  }
  return true;
}

bool GetOptionalInt(napi_env env, napi_value object, const char* key, int64_t min, int64_t max, int64_t* out,
                    bool* present) {
  napi_value value;
  bool there;
  if (!Lookup(env, object, key, &value, &there)) return false;
  if (present != nullptr) *present = there;
  return !there || GetInt(env, value, key, min, max, out);
}

bool IsUndefined(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) != napi_ok || type == napi_undefined;
}

napi_value MakeInt(napi_env env, int64_t value) {
  napi_value r = nullptr;
  napi_create_int64(env, value, &r);
  return r;
}
napi_value MakeString(napi_env env, const std::string& latin1) {
  napi_value r = nullptr;
  napi_create_string_latin1(env, latin1.data(), latin1.size(), &r);
  return r;
}
napi_value MakeBool(napi_env env, bool value) {
  napi_value r = nullptr;
  napi_get_boolean(env, value, &r);
  return r;
}
napi_value Undefined(napi_env env) {
  napi_value r = nullptr;
  napi_get_undefined(env, &r);
  return r;
}
bool SetProperty(napi_env env, napi_value object, const char* key, napi_value value) {
  return value != nullptr && napi_set_named_property(env, object, key, value) == napi_ok;
}

}  // namespace drawbridge
