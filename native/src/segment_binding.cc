// segment(): the wire form of one frame, for whoever writes captures or checks what a port without offloads would send.
#include <cerrno>
#include <cstring>

#include "addon.h"
#include "args.h"
#include "segment.h"

namespace drawbridge {

namespace {

// Copies frames one after another into a caller's buffer.
class CopySink final : public WireSink {
 public:
  CopySink(Span<uint8_t> out, Span<int32_t> lengths) : out_(out), lengths_(lengths) {}
  TxSlot* Slot() override { return &slot_; }
  int Commit() override {
    size_t total = 0;
    for (uint32_t i = 0; i < slot_.iov_count; i++) total += slot_.iov[i].iov_len;
    if (frames_ == lengths_.size || total > out_.size - used_) return ENOSPC;
    for (uint32_t i = 0; i < slot_.iov_count; i++) {
      memcpy(out_.data + used_, slot_.iov[i].iov_base, slot_.iov[i].iov_len);
      used_ += slot_.iov[i].iov_len;
    }
    lengths_.data[frames_++] = static_cast<int32_t>(total);
    return 0;
  }
  size_t frames() const { return frames_; }

 private:
  Span<uint8_t> out_;
  Span<int32_t> lengths_;
  TxSlot slot_;
  size_t used_ = 0;
  size_t frames_ = 0;
};

}  // namespace

napi_value SegmentCall(napi_env env, napi_callback_info info) {
  Args<7> args(env, info);
  Span<uint8_t> arena, out;
  Span<int32_t> desc, lengths;
  uint32_t row, mtu;
  int32_t tag;
  if (!args.Bytes(0, "arena", &arena) || !GetInt32Array(env, args.v[1], "desc", &desc) ||
      !args.Int(2, "row", 0, static_cast<int64_t>(desc.size / D_STRIDE) - 1, &row) ||
      !args.Int(3, "tag", kTagKeep, 0xffff, &tag) || !args.Int(4, "mtu", 68, 65535, &mtu) ||
      !args.Bytes(5, "out", &out) || !GetInt32Array(env, args.v[6], "lengths", &lengths)) {
    return nullptr;
  }
  const int32_t* d = desc.data + size_t{row} * D_STRIDE;
  const uint32_t off = static_cast<uint32_t>(d[D_OFF]), len = static_cast<uint32_t>(d[D_LEN]);
  if (uint64_t{off} + len > arena.size) return MakeInt(env, -EINVAL);
  FrameParts frame;
  CopySink sink(out, lengths);
  int err = ApplyTag(arena.data + off, len, VnetOfRow(d), tag, &frame);
  if (err == 0) err = EmitWire(frame, mtu, &sink);
  return MakeInt(env, err != 0 ? -err : static_cast<int64_t>(sink.frames()));
}

}  // namespace drawbridge
