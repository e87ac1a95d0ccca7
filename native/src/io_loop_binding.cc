// IoLoop as a JavaScript class.
#include <cerrno>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "addon.h"
#include "args.h"
#include "io_loop.h"

namespace drawbridge {

namespace {

constexpr size_t kBuffers = 3;

// The loop and what it keeps alive. References hold the typed arrays, and with them the memory, for the life of the
// object: JavaScript may forget its own.
struct Binding {
  IoLoop loop;
  napi_ref buffers[kBuffers] = {};
  bool shared[kBuffers] = {};

  Binding(Span<uint8_t> arena, Span<int32_t> desc, Span<int32_t> tx, uint32_t batch)
      : loop(arena.data, arena.size, desc.data, desc.size, tx.data, tx.size, batch) {}
};

void Finalize(napi_env env, void* data, void*) {
  Binding* b = static_cast<Binding*>(data);
  for (napi_ref ref : b->buffers) {
    if (ref != nullptr) napi_delete_reference(env, ref);
  }
  delete b;
}

// ArrayBuffer behind a typed array.
napi_value BackingBuffer(napi_env env, napi_value array) {
  napi_value buffer = nullptr;
  napi_get_typedarray_info(env, array, nullptr, nullptr, nullptr, &buffer, nullptr);
  return buffer;
}

// A plain ArrayBuffer that can shrink would pull its pages from under the loop (a growable shared one only grows).
bool CanShrink(napi_env env, napi_value buffer) {
  napi_value resizable;
  bool yes = false;
  if (napi_get_named_property(env, buffer, "resizable", &resizable) != napi_ok) return false;
  return napi_get_value_bool(env, resizable, &yes) == napi_ok && yes;
}

napi_value Construct(napi_env env, napi_callback_info info) {
  Args<4> args(env, info);
  napi_value target;
  if (napi_get_new_target(env, info, &target) != napi_ok || target == nullptr) {
    return ThrowType(env, "class constructor IoLoop cannot be invoked without 'new'");
  }
  Span<uint8_t> arena;
  Span<int32_t> desc, tx;
  uint32_t batch;
  if (!args.Bytes(0, "arena", &arena) || !GetInt32Array(env, args.v[1], "desc", &desc) ||
      !GetInt32Array(env, args.v[2], "tx", &tx) || !args.Int(3, "batchSize", 1, kMaxBatch, &batch)) {
    return nullptr;
  }
  if (arena.size < kMaxFrame + 2 * kFrameAlign || arena.size > INT32_MAX) {
    return ThrowRange(env, "arena must hold %u to %d bytes", kMaxFrame + 2 * kFrameAlign, INT32_MAX);
  }
  if (desc.size / D_STRIDE < batch) return ThrowRange(env, "desc must hold at least batchSize rows of %d", D_STRIDE);
  if (tx.size < T_STRIDE || tx.size / T_STRIDE > INT32_MAX) return ThrowRange(env, "tx must hold at least one row");
  Binding* b = new Binding(arena, desc, tx, batch);
  for (size_t i = 0; i < kBuffers; i++) {
    napi_value buffer = BackingBuffer(env, args.v[i]);
    bool plain = false;
    if (napi_is_arraybuffer(env, buffer, &plain) == napi_ok && plain && CanShrink(env, buffer)) {
      Finalize(env, b, nullptr);
      return ThrowType(env, "tables must not lie on a resizable ArrayBuffer");
    }
    b->shared[i] = !plain;
    napi_create_reference(env, args.v[i], 1, &b->buffers[i]);
  }
  if (int err = b->loop.Open()) {
    Finalize(env, b, nullptr);
    return ThrowErrno(env, "epoll_create1", err);
  }
  if (napi_wrap(env, args.self, b, Finalize, nullptr, nullptr) != napi_ok) {
    Finalize(env, b, nullptr);
    return nullptr;
  }
  return args.self;
}

Binding* OpenBinding(napi_env env, napi_value self) {
  Binding* b = Unwrap<Binding>(env, self);
  if (b != nullptr && b->loop.closed()) {
    ThrowError(env, "IoLoop is closed");
    return nullptr;
  }
  return b;
}

// Transferring an ArrayBuffer (postMessage, structuredClone) moves its memory elsewhere, reference or not.
bool BuffersInPlace(napi_env env, const Binding& b) {
  for (size_t i = 0; i < kBuffers; i++) {
    if (b.shared[i]) continue;
    napi_value array;
    size_t length = 0;
    if (napi_get_reference_value(env, b.buffers[i], &array) != napi_ok ||
        napi_get_typedarray_info(env, array, nullptr, &length, nullptr, nullptr, nullptr) != napi_ok || length == 0) {
      ThrowType(env, "a table of this IoLoop was transferred away");
      return false;
    }
  }
  return true;
}

napi_value Register(napi_env env, Binding* b, std::unique_ptr<Port> port) {
  const uint32_t index = port->index;
  const int err = b->loop.AddPort(std::move(port));
  if (err == EEXIST) return ThrowErrno(env, "addPort", err, std::to_string(index).c_str());
  if (err != 0) return ThrowErrno(env, "epoll_ctl", err);
  return Undefined(env);
}

napi_value AddPort(napi_env env, napi_callback_info info) {
  Args<5> args(env, info);
  auto port = std::make_unique<Port>();
  int kind;
  Binding* b = OpenBinding(env, args.self);
  if (b == nullptr || !args.Int(0, "index", 0, kMaxPorts - 1, &port->index) || !args.Int(1, "fd", 0, INT32_MAX, &port->fd) ||
      !args.Int(2, "kind", 0, 1, &kind) || !args.Int(3, "vnetHdrLen", 0, kMaxVnetHeader, &port->vnet_hdr_len) ||
      !args.Int(4, "mtu", 68, 65535, &port->mtu)) {
    return nullptr;
  }
  if (port->vnet_hdr_len != 0 && port->vnet_hdr_len != 10 && port->vnet_hdr_len != 12) {
    return ThrowRange(env, "vnetHdrLen must be 0, 10 or 12");
  }
  port->kind = static_cast<PortKind>(kind);
  return Register(env, b, std::move(port));
}

napi_value AddUnixPort(napi_env env, napi_callback_info info) {
  Args<5> args(env, info);
  auto port = std::make_unique<Port>();
  int kind;
  std::string path;
  Binding* b = OpenBinding(env, args.self);
  if (b == nullptr || !args.Int(0, "index", 0, kMaxPorts - 1, &port->index) || !args.Int(1, "fd", -1, INT32_MAX, &port->fd) ||
      !args.Int(2, "kind", 2, 3, &kind) || !GetLatin1(env, args.v[3], "path", false, &path) ||
      !args.Int(4, "mtu", 68, 65535, &port->mtu)) {
    return nullptr;
  }
  port->kind = static_cast<PortKind>(kind);
  if (!UnixAddress(path, &port->peer, &port->peer_length)) return ThrowErrno(env, "addUnixPort", ENAMETOOLONG, path.c_str());
  if (port->kind == PortKind::kStream) {
    port->stream = std::make_unique<FrameStream>(port->fd, path);
  } else if (port->fd < 0) {
    return ThrowRange(env, "a datagram port needs a bound descriptor");
  }
  return Register(env, b, std::move(port));
}

napi_value RemovePort(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  uint32_t index;
  Binding* b = OpenBinding(env, args.self);
  if (b == nullptr || !args.Int(0, "index", 0, kMaxPorts - 1, &index)) return nullptr;
  if (!b->loop.RemovePort(index)) return ThrowRange(env, "no port %u", index);
  return Undefined(env);
}

napi_value PortError(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  uint32_t index;
  Binding* b = OpenBinding(env, args.self);
  if (b == nullptr || !args.Int(0, "index", 0, kMaxPorts - 1, &index)) return nullptr;
  const Port* port = b->loop.FindPort(index);
  if (port == nullptr) return ThrowRange(env, "no port %u", index);
  return MakeInt(env, port->last_error);
}

napi_value Rx(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  int timeout;
  Binding* b = OpenBinding(env, args.self);
  if (b == nullptr || !args.Int(0, "timeoutMs", -1, INT32_MAX, &timeout) || !BuffersInPlace(env, *b)) return nullptr;
  return MakeInt(env, b->loop.Receive(timeout));
}

napi_value Flush(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  uint32_t count;
  Binding* b = OpenBinding(env, args.self);
  if (b == nullptr || !args.Int(0, "count", 0, b->loop.tx_rows(), &count) || !BuffersInPlace(env, *b)) return nullptr;
  return MakeInt(env, b->loop.Flush(count));
}

napi_value ArenaUsed(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  Binding* b = Unwrap<Binding>(env, args.self);
  return b == nullptr ? nullptr : MakeInt(env, b->loop.arena_used());
}

napi_value WakeFdOf(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  Binding* b = Unwrap<Binding>(env, args.self);
  return b == nullptr ? nullptr : MakeInt(env, b->loop.wake_fd());
}

napi_value Close(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  Binding* b = Unwrap<Binding>(env, args.self);
  if (b == nullptr) return nullptr;
  b->loop.Close();
  return Undefined(env);
}

}  // namespace

napi_value WakeFdCall(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  int fd;
  if (!args.Int(0, "fd", -1, INT32_MAX, &fd)) return nullptr;
  // A loop that closed meanwhile needs no waking: the race is the caller's normal shutdown.
  return MakeBool(env, WakeLoop(fd));
}

bool DefineIoLoop(napi_env env, napi_value exports) {
  const napi_property_descriptor members[] = {
      {"addPort", nullptr, AddPort, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"addUnixPort", nullptr, AddUnixPort, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"removePort", nullptr, RemovePort, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"portError", nullptr, PortError, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"rx", nullptr, Rx, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"flush", nullptr, Flush, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"close", nullptr, Close, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"arenaUsed", nullptr, nullptr, ArenaUsed, nullptr, nullptr, napi_enumerable, nullptr},
      {"wakeFd", nullptr, nullptr, WakeFdOf, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_value cls;
  return napi_define_class(env, "IoLoop", NAPI_AUTO_LENGTH, Construct, nullptr, sizeof members / sizeof *members, members,
                           &cls) == napi_ok &&
         ExportClass(env, exports, "IoLoop", cls) && ExportInt(env, exports, "PORT_TAP", 0) &&
         ExportInt(env, exports, "PORT_PACKET", 1) && ExportInt(env, exports, "PORT_STREAM", 2) &&
         ExportInt(env, exports, "PORT_DATAGRAM", 3);
}

}  // namespace drawbridge
