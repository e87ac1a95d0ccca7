// Stream sockets that Node's own cannot serve: UNIX sockets whose peers send descriptors (SCM_RIGHTS) and tell who they
// are (SO_PEERCRED), and vsock. Non-blocking; readiness of many of them reaches JavaScript in one call (Poller).
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cstring>

#include "addon.h"
#include "args.h"

namespace drawbridge {

namespace {

constexpr int kBacklog = 256;
constexpr int kMaxDescriptors = 16;
constexpr int kMaxReady = 256;

bool FdArg(napi_env env, napi_value value, int* out) {
  int64_t fd;
  if (!GetInt(env, value, "fd", 0, INT32_MAX, &fd)) return false;
  *out = static_cast<int>(fd);
  return true;
}

napi_value Listen(napi_env env, int fd, const sockaddr* address, socklen_t size, const char* subject) {
  if (bind(fd, address, size) != 0 || listen(fd, kBacklog) != 0) {
    const int err = errno;
    close(fd);
    return ThrowErrno(env, "bind or listen", err, subject);
  }
  return MakeInt(env, fd);
}

// True when nobody listens on the socket file any more: a leftover of a killed process.
bool IsAbandoned(const sockaddr_un& address) {
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return false;
  const int r = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int err = errno;
  close(probe);
  return r != 0 && err == ECONNREFUSED;
}

}  // namespace

napi_value ListenUnixCall(napi_env env, napi_callback_info info) {
  Args<2> args(env, info);
  std::string path;
  int mode;
  if (!GetLatin1(env, args.v[0], "path", false, &path) || !args.Int(1, "mode", 0, 0777, &mode)) return nullptr;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return ThrowRange(env, "a socket path has 1 to %zu bytes", sizeof address.sun_path - 1);
  }
  memcpy(address.sun_path, path.data(), path.size());
  struct stat st;
  if (lstat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode) && IsAbandoned(address)) unlink(path.c_str());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return ThrowErrno(env, "socket", errno);
  // The file is born with the mode of its socket, less the umask: narrow it before it can be connected to.
  fchmod(fd, static_cast<mode_t>(mode));
  napi_value result = Listen(env, fd, reinterpret_cast<sockaddr*>(&address), sizeof address, path.c_str());
  if (result != nullptr && chmod(path.c_str(), static_cast<mode_t>(mode)) != 0) {
    const int err = errno;
    close(fd);
    unlink(path.c_str());
    return ThrowErrno(env, "chmod", err, path.c_str());
  }
  return result;
}

napi_value ListenVsockCall(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  int64_t port;
  if (!GetInt(env, args.v[0], "port", 1, 0xfffffffe, &port)) return nullptr;
  sockaddr_vm address = {};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_ANY;
  address.svm_port = static_cast<unsigned>(port);
  const int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return ThrowErrno(env, "socket(AF_VSOCK)", errno);
  return Listen(env, fd, reinterpret_cast<sockaddr*>(&address), sizeof address, "vsock");
}

napi_value AcceptSocketCall(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  int listener;
  if (!FdArg(env, args.v[0], &listener)) return nullptr;
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  const int fd = accept4(listener, reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) {
      napi_value nothing;
      napi_get_null(env, &nothing);
      return nothing;
    }
    return ThrowErrno(env, "accept4", errno);
  }
  ucred peer = {-1, static_cast<uid_t>(-1), static_cast<gid_t>(-1)};
  int64_t cid = -1;
  size = sizeof peer;
  if (address.ss_family == AF_VSOCK) {
    cid = reinterpret_cast<sockaddr_vm*>(&address)->svm_cid;
  } else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    const int err = errno;
    close(fd);
    return ThrowErrno(env, "getsockopt(SO_PEERCRED)", err);
  }
  napi_value result;
  const bool known = address.ss_family != AF_VSOCK;
  if (napi_create_object(env, &result) != napi_ok || !SetProperty(env, result, "fd", MakeInt(env, fd)) ||
      !SetProperty(env, result, "pid", MakeInt(env, known ? peer.pid : -1)) ||
      !SetProperty(env, result, "uid", MakeInt(env, known ? int64_t{peer.uid} : -1)) ||
      !SetProperty(env, result, "gid", MakeInt(env, known ? int64_t{peer.gid} : -1)) ||
      !SetProperty(env, result, "cid", MakeInt(env, cid))) {
    close(fd);
    return nullptr;
  }
  return result;
}

napi_value ReceiveSocketCall(napi_env env, napi_callback_info info) {
  Args<5> args(env, info);
  int fd;
  Span<uint8_t> window;
  Span<int32_t> descriptors;
  if (!FdArg(env, args.v[0], &fd) || !args.Window(1, &window) || !GetInt32Array(env, args.v[4], "descriptors", &descriptors)) return nullptr;
  if (descriptors.size < kMaxDescriptors + 1) return ThrowRange(env, "descriptors needs %d places", kMaxDescriptors + 1);
  iovec iov = {window.data, window.size};
  union {
    cmsghdr header;
    uint8_t space[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
  } control;
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  descriptors.data[0] = 0;
  if (n < 0) return MakeInt(env, -errno);
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const int count = static_cast<int>((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < count; i++) {
      int received;
      memcpy(&received, CMSG_DATA(c) + sizeof(int) * i, sizeof received);
      if (descriptors.data[0] < kMaxDescriptors) {
        descriptors.data[++descriptors.data[0]] = received;
      } else {
        close(received);
      }
    }
  }
  return MakeInt(env, n);
}

napi_value SendSocketCall(napi_env env, napi_callback_info info) {
  Args<4> args(env, info);
  int fd;
  Span<uint8_t> window;
  if (!FdArg(env, args.v[0], &fd) || !args.Window(1, &window)) return nullptr;
  const ssize_t n = send(fd, window.data, window.size, MSG_DONTWAIT | MSG_NOSIGNAL);
  return MakeInt(env, n < 0 ? -errno : n);
}

napi_value ReadCachedCall(napi_env env, napi_callback_info info) {
  Args<5> args(env, info);
  int fd;
  int64_t position;
  Span<uint8_t> window;
  if (!FdArg(env, args.v[0], &fd) || !args.Window(1, &window) || !args.Int(4, "position", 0, INT64_C(1) << 53, &position)) return nullptr;
  iovec iov = {window.data, window.size};
  const ssize_t n = preadv2(fd, &iov, 1, position, RWF_NOWAIT);
  return MakeInt(env, n < 0 ? -errno : n);
}

namespace {

struct PollerBox;

// One epoll descriptor watched by the event loop. Owned by the libuv handle: freed when that has closed.
struct Poller {
  PollerBox* box = nullptr;
  uv_poll_t handle;
  napi_env env;
  napi_ref callback = nullptr;
  napi_async_context context = nullptr;
  int epoll = -1;
  bool closed = false;
};

// The JavaScript object may outlive the poller (closed) and the poller the object (not closed yet).
struct PollerBox {
  Poller* poller = nullptr;
};

void FreePoller(uv_handle_t* handle) { delete static_cast<Poller*>(handle->data); }

void CleanUp(void* data);

void ClosePoller(Poller* p) {
  if (p->closed) return;
  p->closed = true;
  if (p->box != nullptr) p->box->poller = nullptr;
  uv_poll_stop(&p->handle);
  close(p->epoll);
  if (p->callback != nullptr) napi_delete_reference(p->env, p->callback);
  if (p->context != nullptr) napi_async_destroy(p->env, p->context);
  napi_remove_env_cleanup_hook(p->env, CleanUp, p);
  uv_close(reinterpret_cast<uv_handle_t*>(&p->handle), FreePoller);
}

void CleanUp(void* data) { ClosePoller(static_cast<Poller*>(data)); }

void OnReady(uv_poll_t* handle, int, int) {
  Poller* p = static_cast<Poller*>(handle->data);
  if (p->closed) return;
  napi_handle_scope scope;
  if (napi_open_handle_scope(p->env, &scope) != napi_ok) return;
  napi_value callback, receiver;
  if (napi_get_reference_value(p->env, p->callback, &callback) == napi_ok && napi_get_global(p->env, &receiver) == napi_ok) {
    napi_value ignored;
    if (napi_make_callback(p->env, p->context, receiver, callback, 0, nullptr, &ignored) == napi_pending_exception) {
      napi_value error;
      napi_get_and_clear_last_exception(p->env, &error);
      napi_fatal_exception(p->env, error);
    }
  }
  napi_close_handle_scope(p->env, scope);
}

void DeleteBox(napi_env, void* data, void*) {
  PollerBox* box = static_cast<PollerBox*>(data);
  if (box->poller != nullptr) ClosePoller(box->poller);
  delete box;
}

Poller* Open(napi_env env, napi_value self) {
  PollerBox* box = Unwrap<PollerBox>(env, self);
  if (box == nullptr) return nullptr;
  if (box->poller == nullptr) ThrowError(env, "the poller is closed");
  return box->poller;
}

napi_value NewPoller(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  napi_valuetype type;
  if (napi_typeof(env, args.v[0], &type) != napi_ok || type != napi_function) return ThrowType(env, "callback must be a function");
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return ThrowError(env, "no event loop");
  Poller* p = new Poller();
  p->env = env;
  p->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (p->epoll < 0) {
    const int err = errno;
    delete p;
    return ThrowErrno(env, "epoll_create1", err);
  }
  if (const int err = uv_poll_init(loop, &p->handle, p->epoll)) {
    close(p->epoll);
    delete p;
    return ThrowErrno(env, "uv_poll_init", -err);
  }
  p->handle.data = p;
  napi_value name;
  napi_create_string_utf8(env, "drawbridge.Poller", NAPI_AUTO_LENGTH, &name);
  PollerBox* box = new PollerBox{p};
  p->box = box;
  if (napi_create_reference(env, args.v[0], 1, &p->callback) != napi_ok || napi_async_init(env, nullptr, name, &p->context) != napi_ok ||
      napi_add_env_cleanup_hook(env, CleanUp, p) != napi_ok || napi_wrap(env, args.self, box, DeleteBox, nullptr, nullptr) != napi_ok) {
    p->box = nullptr;
    ClosePoller(p);
    delete box;
    return ThrowError(env, "cannot create the poller");
  }
  uv_poll_start(&p->handle, UV_READABLE, OnReady);
  return args.self;
}

napi_value Control(napi_env env, napi_callback_info info, int operation) {
  Args<2> args(env, info);
  Poller* p = Open(env, args.self);
  int fd;
  uint32_t events = 0;
  if (p == nullptr || !FdArg(env, args.v[0], &fd)) return nullptr;
  if (operation != EPOLL_CTL_DEL && !args.Int(1, "events", 0, 0xffff, &events)) return nullptr;
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(p->epoll, operation, fd, &event) != 0) return ThrowErrno(env, "epoll_ctl", errno);
  return Undefined(env);
}

napi_value PollerAdd(napi_env env, napi_callback_info info) { return Control(env, info, EPOLL_CTL_ADD); }
napi_value PollerModify(napi_env env, napi_callback_info info) { return Control(env, info, EPOLL_CTL_MOD); }
napi_value PollerRemove(napi_env env, napi_callback_info info) { return Control(env, info, EPOLL_CTL_DEL); }

napi_value PollerReady(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  Poller* p = Open(env, args.self);
  Span<int32_t> out;
  if (p == nullptr || !GetInt32Array(env, args.v[0], "out", &out)) return nullptr;
  epoll_event events[kMaxReady];
  const int room = static_cast<int>(out.size / 2 < kMaxReady ? out.size / 2 : kMaxReady);
  if (room < 1) return ThrowRange(env, "out needs two places at least");
  const int n = epoll_wait(p->epoll, events, room, 0);
  for (int i = 0; i < n; i++) {
    out.data[2 * i] = events[i].data.fd;
    out.data[2 * i + 1] = static_cast<int32_t>(events[i].events);
  }
  return MakeInt(env, n < 0 ? 0 : n);
}

napi_value PollerClose(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  PollerBox* box = Unwrap<PollerBox>(env, args.self);
  if (box == nullptr) return nullptr;
  if (box->poller != nullptr) ClosePoller(box->poller);
  return Undefined(env);
}

}  // namespace

bool DefinePoller(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"add", nullptr, PollerAdd, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"modify", nullptr, PollerModify, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"remove", nullptr, PollerRemove, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"ready", nullptr, PollerReady, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"close", nullptr, PollerClose, nullptr, nullptr, nullptr, napi_default_method, nullptr},
  };
  napi_value constructor;
  return napi_define_class(env, "Poller", NAPI_AUTO_LENGTH, NewPoller, nullptr, sizeof methods / sizeof methods[0], methods, &constructor) == napi_ok &&
         ExportClass(env, exports, "Poller", constructor) && ExportInt(env, exports, "POLL_IN", EPOLLIN) && ExportInt(env, exports, "POLL_OUT", EPOLLOUT);
}

}  // namespace drawbridge
