// Opening UNIX sockets as ports: no privileges but those of the file system.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "addon.h"
#include "args.h"
#include "frame_stream.h"

namespace drawbridge {

namespace {

// Removes a socket that nobody has open any more. Returns EADDRINUSE when somebody has, or the path is something else.
int RemoveStale(const std::string& path, int type) {
  struct stat about;
  if (lstat(path.c_str(), &about) != 0) return errno == ENOENT ? 0 : errno;
  if (!S_ISSOCK(about.st_mode)) return EADDRINUSE;
  sockaddr_un address;
  uint32_t length;
  if (!UnixAddress(path, &address, &length)) return ENAMETOOLONG;
  const int probe = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return errno;
  const bool refused = connect(probe, reinterpret_cast<sockaddr*>(&address), length) != 0 && errno == ECONNREFUSED;
  close(probe);
  if (!refused) return EADDRINUSE;
  return unlink(path.c_str()) == 0 || errno == ENOENT ? 0 : errno;
}

}  // namespace

napi_value OpenUnixCall(napi_env env, napi_callback_info info) {
  Args<3> args(env, info);
  int datagram;
  std::string path;
  int64_t mode;
  if (!args.Int(0, "datagram", 0, 1, &datagram) || !GetLatin1(env, args.v[1], "path", false, &path) ||
      !args.Int(2, "mode", 0, 0777, &mode)) {
    return nullptr;
  }
  const int type = datagram != 0 ? SOCK_DGRAM : SOCK_STREAM;
  sockaddr_un address;
  uint32_t length;
  if (!UnixAddress(path, &address, &length)) return ThrowErrno(env, "bind", ENAMETOOLONG, path.c_str());
  if (int err = RemoveStale(path, type)) return ThrowErrno(env, "bind", err, path.c_str());
  const int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return ThrowErrno(env, "socket(AF_UNIX)", errno);
  // The socket is made with no more rights than wanted, so that nobody slips in before chmod.
  const mode_t before = umask(0777 & ~static_cast<mode_t>(mode));
  int err = bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0 ? 0 : errno;
  umask(before);
  if (err == 0 && datagram == 0 && listen(fd, 1) != 0) err = errno;
  if (err != 0) {
    close(fd);
    return ThrowErrno(env, "bind", err, path.c_str());
  }
  return MakeInt(env, fd);
}

}  // namespace drawbridge
