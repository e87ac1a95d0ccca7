// Huge pages for the big tables (flow table, arenas): fewer TLB misses per packet.
#include <sys/mman.h>
#include <unistd.h>

#include "addon.h"
#include "args.h"

namespace drawbridge {

napi_value AdviseHugePagesCall(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  void* data = nullptr;
  size_t bytes = 0;
  bool is_view = false;
  if (napi_is_typedarray(env, args.v[0], &is_view) == napi_ok && is_view) {
    napi_typedarray_type type;
    size_t length;
    napi_get_typedarray_info(env, args.v[0], &type, &length, &data, nullptr, nullptr);
    static const uint8_t kElementSize[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
    if (static_cast<size_t>(type) >= sizeof kElementSize) return ThrowType(env, "unknown typed array");
    bytes = length * kElementSize[type];
  } else if (napi_is_dataview(env, args.v[0], &is_view) == napi_ok && is_view) {
    napi_get_dataview_info(env, args.v[0], &bytes, &data, nullptr, nullptr);
  } else {
    return ThrowType(env, "buf must be an ArrayBufferView");
  }
  // Whole pages inside the view: neighbours keep their own advice.
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t start = (reinterpret_cast<uintptr_t>(data) + page - 1) & ~(page - 1);
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) & ~(page - 1);
  if (data == nullptr || end <= start) return MakeBool(env, false);
  return MakeBool(env, madvise(reinterpret_cast<void*>(start), end - start, MADV_HUGEPAGE) == 0);
}

}  // namespace drawbridge
