// Opening ports: TAP devices and AF_PACKET sockets, non-blocking, with the offloads the batch loop can carry.
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <cerrno>
#include <cstring>

#include "addon.h"
#include "args.h"
#include "batch.h"
#include "interfaces.h"

// Newer than the headers of the oldest distribution we build on.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

namespace drawbridge {

namespace {

// Closes on every early return.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

napi_value MakeOpenedPort(napi_env env, Descriptor* fd, const std::string& name, int vnet_hdr_len) {
  InterfaceInfo about;
  if (int err = QueryInterface(name, &about)) return ThrowErrno(env, "ioctl(SIOCGIFINDEX)", err, name.c_str());
  napi_value port;
  if (napi_create_object(env, &port) != napi_ok) return nullptr;
  const bool ok = SetProperty(env, port, "fd", MakeInt(env, fd->get())) &&
                  SetProperty(env, port, "name", MakeString(env, name)) &&
                  SetProperty(env, port, "vnetHdrLen", MakeInt(env, vnet_hdr_len)) &&
                  SetProperty(env, port, "ifindex", MakeInt(env, about.ifindex)) &&
                  SetProperty(env, port, "mtu", MakeInt(env, about.mtu)) &&
                  SetProperty(env, port, "mac", MakeString(env, FormatMac(about.mac)));
  if (!ok) return nullptr;
  fd->release();
  return port;
}

// A large socket buffer absorbs the time JavaScript needs for one batch (and a collector pause). The forced variant
// ignores net.core.*mem_max but needs CAP_NET_ADMIN.
void GrowBuffer(int fd, int forced, int plain, int bytes) {
  if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) != 0) {
    setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof bytes);
  }
}

}  // namespace

napi_value OpenTapCall(napi_env env, napi_callback_info info) {
  Args<2> args(env, info);
  std::string name;
  bool given, offloads = true, uso = false;
  if (!GetInterfaceName(env, args.v[0], &name) || !GetOptions(env, args.v[1], &given)) return nullptr;
  if (given && (!GetOptionalBool(env, args.v[1], "offloads", &offloads) || !GetOptionalBool(env, args.v[1], "uso", &uso))) {
    return nullptr;
  }
  if (uso && !offloads) return ThrowRange(env, "uso needs offloads");

  Descriptor fd(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (fd.get() < 0) return ThrowErrno(env, "open", errno, "/dev/net/tun");
  ifreq r;
  memset(&r, 0, sizeof r);
  memcpy(r.ifr_name, name.data(), name.size());
  r.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | (offloads ? IFF_VNET_HDR : 0));
  if (ioctl(fd.get(), TUNSETIFF, &r) < 0) return ThrowErrno(env, "ioctl(TUNSETIFF)", errno, name.c_str());
  const unsigned long features =
      offloads ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | (uso ? TUN_F_USO4 | TUN_F_USO6 : 0) : 0;
  if (ioctl(fd.get(), TUNSETOFFLOAD, features) < 0) return ThrowErrno(env, "ioctl(TUNSETOFFLOAD)", errno, name.c_str());
  int vnet_hdr_len = 0;
  if (offloads && ioctl(fd.get(), TUNGETVNETHDRSZ, &vnet_hdr_len) < 0) {
    return ThrowErrno(env, "ioctl(TUNGETVNETHDRSZ)", errno, name.c_str());
  }
  return MakeOpenedPort(env, &fd, r.ifr_name, vnet_hdr_len);
}

napi_value OpenPacketCall(napi_env env, napi_callback_info info) {
  Args<2> args(env, info);
  std::string name;
  bool given, offloads = true, promiscuous = true;
  if (!GetInterfaceName(env, args.v[0], &name) || !GetOptions(env, args.v[1], &given)) return nullptr;
  if (given && (!GetOptionalBool(env, args.v[1], "offloads", &offloads) ||
                !GetOptionalBool(env, args.v[1], "promiscuous", &promiscuous))) {
    return nullptr;
  }
  InterfaceInfo about;
  if (int err = QueryInterface(name, &about)) return ThrowErrno(env, "ioctl(SIOCGIFINDEX)", err, name.c_str());

  // Protocol 0 until bind: a socket opened with ETH_P_ALL would collect frames of every interface in between.
  Descriptor fd(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return ThrowErrno(env, "socket(AF_PACKET)", errno);
  const int on = 1;
  if (offloads && setsockopt(fd.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) < 0) {
    return ThrowErrno(env, "setsockopt(PACKET_VNET_HDR)", errno, name.c_str());
  }
  // What we send must not come back as received.
  if (setsockopt(fd.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0) {
    return ThrowErrno(env, "setsockopt(PACKET_IGNORE_OUTGOING)", errno, name.c_str());
  }
  // The kernel strips VLAN tags into metadata; the batch loop puts them back.
  if (setsockopt(fd.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) < 0) {
    return ThrowErrno(env, "setsockopt(PACKET_AUXDATA)", errno, name.c_str());
  }
  GrowBuffer(fd.get(), SO_RCVBUFFORCE, SO_RCVBUF, 16 << 20);
  GrowBuffer(fd.get(), SO_SNDBUFFORCE, SO_SNDBUF, 8 << 20);
  if (promiscuous) {
    packet_mreq membership;
    memset(&membership, 0, sizeof membership);
    membership.mr_ifindex = about.ifindex;
    membership.mr_type = PACKET_MR_PROMISC;
    if (setsockopt(fd.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) < 0) {
      return ThrowErrno(env, "setsockopt(PACKET_ADD_MEMBERSHIP)", errno, name.c_str());
    }
  }
  sockaddr_ll address;
  memset(&address, 0, sizeof address);
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = about.ifindex;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    return ThrowErrno(env, "bind", errno, name.c_str());
  }
  return MakeOpenedPort(env, &fd, name, offloads ? static_cast<int>(sizeof(VnetHeader)) : 0);
}

napi_value CloseFdCall(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  int fd;
  // Standard streams are never ports.
  if (!args.Int(0, "fd", 3, INT32_MAX, &fd)) return nullptr;
  if (close(fd) != 0 && errno != EINTR) return ThrowErrno(env, "close", errno);
  return Undefined(env);
}

}  // namespace drawbridge
