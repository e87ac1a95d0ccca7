// Raw DEFLATE (RFC 1951) by the zlib that Node itself carries: its headers and symbols come with Node, so nothing is linked.
// The caller owns the output buffer and is told how much of either side was used; malformed data is an answer, not an
// exception, and what was decoded before it is delivered.
#include <zlib.h>

#include "addon.h"
#include "args.h"

namespace drawbridge {

namespace {

constexpr int kMore = 0;
constexpr int kEnd = 1;
constexpr int kOutputFull = 2;
constexpr int kError = -1;

struct Stream {
  z_stream z = {};
  bool ready = false;
  ~Stream() {
    if (ready) inflateEnd(&z);
  }
};

void FinalizeStream(napi_env, void* data, void*) { delete static_cast<Stream*>(data); }

napi_value Construct(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  napi_value target;
  if (napi_get_new_target(env, info, &target) != napi_ok || target == nullptr) {
    return ThrowType(env, "class constructor Inflater cannot be invoked without 'new'");
  }
  Stream* stream = new Stream();
  // Negative window bits: raw data, no zlib or gzip wrapper.
  stream->ready = inflateInit2(&stream->z, -15) == Z_OK;
  if (!stream->ready) {
    delete stream;
    return ThrowError(env, "out of memory for an inflate stream");
  }
  if (napi_wrap(env, args.self, stream, FinalizeStream, nullptr, nullptr) != napi_ok) {
    delete stream;
    return nullptr;
  }
  return args.self;
}

napi_value Reset(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  Stream* stream = Unwrap<Stream>(env, args.self);
  if (stream == nullptr) return nullptr;
  inflateReset(&stream->z);
  return Undefined(env);
}

// push(buf, off, len, out, used): decode as much of the window as fits into `out`; used[0] = bytes read, used[1] = written.
napi_value Push(napi_env env, napi_callback_info info) {
  Args<5> args(env, info);
  Stream* stream = Unwrap<Stream>(env, args.self);
  Span<uint8_t> window, out;
  Span<int32_t> used;
  if (stream == nullptr || !args.Window(0, &window) || !args.Bytes(3, "out", &out) ||
      !GetInt32Array(env, args.v[4], "used", &used)) {
    return nullptr;
  }
  if (used.size < 2) return ThrowRange(env, "used must hold two numbers");
  if (window.size > INT32_MAX || out.size == 0 || out.size > INT32_MAX) {
    return ThrowRange(env, "input must be below 2 GiB, output between 1 byte and 2 GiB");
  }
  z_stream& z = stream->z;
  z.next_in = window.data;
  z.avail_in = static_cast<uInt>(window.size);
  z.next_out = out.data;
  z.avail_out = static_cast<uInt>(out.size);
  const int rc = inflate(&z, Z_NO_FLUSH);
  used.data[0] = static_cast<int32_t>(window.size - z.avail_in);
  used.data[1] = static_cast<int32_t>(out.size - z.avail_out);
  const bool full = z.avail_out == 0;
  z.next_in = nullptr;
  z.next_out = nullptr;
  if (rc == Z_STREAM_END) return MakeInt(env, kEnd);
  // Z_BUF_ERROR only says that nothing could be done with so little input or room.
  if (rc != Z_OK && rc != Z_BUF_ERROR) return MakeInt(env, kError);
  return MakeInt(env, full ? kOutputFull : kMore);
}

}  // namespace

bool DefineInflate(napi_env env, napi_value exports) {
  const napi_property_descriptor members[] = {
      {"push", nullptr, Push, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"reset", nullptr, Reset, nullptr, nullptr, nullptr, napi_default_method, nullptr},
  };
  napi_value cls;
  return napi_define_class(env, "Inflater", NAPI_AUTO_LENGTH, Construct, nullptr, sizeof members / sizeof *members,
                           members, &cls) == napi_ok &&
         ExportClass(env, exports, "Inflater", cls);
}

}  // namespace drawbridge
