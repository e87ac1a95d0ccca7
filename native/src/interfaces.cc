// Interface queries and settings: ioctl on a throw-away socket, so that they act on the caller's network namespace.
#include "interfaces.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "addon.h"
#include "args.h"

namespace drawbridge {

namespace {

class ControlSocket {
 public:
  ControlSocket() : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    // A kernel without IPv4 has unix sockets still, and interface ioctls work on any socket.
    if (fd_ < 0) fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  }
  ~ControlSocket() {
    if (fd_ >= 0) close(fd_);
  }
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  int Call(unsigned long request, ifreq* r) const { return fd_ < 0 || ioctl(fd_, request, r) < 0 ? errno : 0; }

 private:
  int fd_;
};

ifreq RequestFor(const std::string& name) {
  ifreq r;
  memset(&r, 0, sizeof r);
  memcpy(r.ifr_name, name.data(), name.size() < IFNAMSIZ ? name.size() : IFNAMSIZ - 1);
  return r;
}

}  // namespace

int QueryInterface(const std::string& name, InterfaceInfo* info) {
  ControlSocket control;
  ifreq r = RequestFor(name);
  if (int err = control.Call(SIOCGIFINDEX, &r)) return err;
  info->ifindex = r.ifr_ifindex;
  r = RequestFor(name);
  if (int err = control.Call(SIOCGIFMTU, &r)) return err;
  info->mtu = r.ifr_mtu;
  r = RequestFor(name);
  if (int err = control.Call(SIOCGIFHWADDR, &r)) return err;
  memcpy(info->mac, r.ifr_hwaddr.sa_data, 6);
  return 0;
}

std::string FormatMac(const uint8_t mac[6]) {
  char text[18];
  snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text;
}

bool ParseMac(const std::string& text, uint8_t mac[6]) {
  if (text.size() != 17) return false;
  for (size_t i = 0; i < 17; i++) {
    const char c = text[i];
    if (i % 3 == 2) {
      if (c != ':') return false;
      continue;
    }
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return false;
    mac[i / 3] = static_cast<uint8_t>(i % 3 == 0 ? digit << 4 : mac[i / 3] | digit);
  }
  return true;
}

napi_value ConfigureInterfaceCall(napi_env env, napi_callback_info info) {
  Args<2> args(env, info);
  std::string name;
  bool given, up = false, set_up = false, set_mtu = false;
  int64_t mtu = 0;
  uint8_t mac[6];
  napi_value mac_value;
  if (!GetInterfaceName(env, args.v[0], &name) || !GetOptions(env, args.v[1], &given)) return nullptr;
  if (!given) return ThrowType(env, "options must be an object");
  if (!GetOptionalBool(env, args.v[1], "up", &up, &set_up) ||
      !GetOptionalInt(env, args.v[1], "mtu", 68, 65535, &mtu, &set_mtu)) {
    return nullptr;
  }
  if (napi_get_named_property(env, args.v[1], "mac", &mac_value) != napi_ok) return ThrowType(env, "cannot read option mac");
  const bool set_mac = !IsUndefined(env, mac_value);
  if (set_mac) {
    std::string text;
    if (!GetLatin1(env, mac_value, "mac", false, &text)) return nullptr;
    if (!ParseMac(text, mac)) return ThrowRange(env, "mac must look like 02:00:00:00:00:01");
  }

  ControlSocket control;
  // The address first: some drivers refuse to change it on a running interface. Then the MTU, then the state.
  if (set_mac) {
    ifreq r = RequestFor(name);
    r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(r.ifr_hwaddr.sa_data, mac, 6);
    if (int err = control.Call(SIOCSIFHWADDR, &r)) return ThrowErrno(env, "ioctl(SIOCSIFHWADDR)", err, name.c_str());
  }
  if (set_mtu) {
    ifreq r = RequestFor(name);
    r.ifr_mtu = static_cast<int>(mtu);
    if (int err = control.Call(SIOCSIFMTU, &r)) return ThrowErrno(env, "ioctl(SIOCSIFMTU)", err, name.c_str());
  }
  if (set_up) {
    ifreq r = RequestFor(name);
    if (int err = control.Call(SIOCGIFFLAGS, &r)) return ThrowErrno(env, "ioctl(SIOCGIFFLAGS)", err, name.c_str());
    r.ifr_flags = static_cast<short>(up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
    if (int err = control.Call(SIOCSIFFLAGS, &r)) return ThrowErrno(env, "ioctl(SIOCSIFFLAGS)", err, name.c_str());
  }
  return Undefined(env);
}

}  // namespace drawbridge
