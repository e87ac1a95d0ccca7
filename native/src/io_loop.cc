#include "io_loop.h"

#include <linux/if_ether.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>

namespace drawbridge {

namespace {

constexpr uint32_t kWakeToken = UINT32_MAX;
constexpr uint32_t kTagLength = 4;

constexpr int kRetryMs = 1000;

// While several ports are active a batch is one short round over those that are ready, even if there is room for more: what
// a flooding port has queued would otherwise keep the frames of the others waiting for as long as a whole batch takes, and the
// processor with them. What is not read stays in the guest's own queue, where its excess is dropped at no cost to us.
constexpr uint32_t kContendedFrames = 64;
constexpr uint32_t kContendedMost = 32, kContendedLeast = 2;
// Ports count as active for this long after their last frame.
constexpr int64_t kContendedUsec = 5000;

// Bytes left free in front of every frame: the vnet header is read (and a VLAN tag put back) right before it, so one
// contiguous read leaves the frame itself aligned.
constexpr uint32_t kHeadroom = kFrameAlign;
static_assert(kHeadroom >= kMaxVnetHeader + kTagLength, "vnet header and one tag");

// Descriptors are process-wide, so a stale number may by now be somebody's file: only numbers of open loops are
// written to. This is the one piece of state shared by threads, hence the lock.
std::mutex wake_lock;
std::set<int>& WakeFds() {
  static std::set<int>* fds = new std::set<int>();  // never destroyed: a worker may outlive static destructors
  return *fds;
}

}  // namespace

bool WakeLoop(int fd) {
  std::lock_guard<std::mutex> hold(wake_lock);
  if (WakeFds().count(fd) == 0) return false;
  const uint64_t one = 1;
  // The only failure of a non-blocking eventfd is a full counter, which wakes as well.
  [[maybe_unused]] const ssize_t n = write(fd, &one, sizeof one);
  return true;
}

IoLoop::IoLoop(uint8_t* arena, size_t arena_size, int32_t* desc, size_t desc_size, int32_t* tx, size_t tx_size,
               uint32_t batch_size)
    : arena_(arena),
      arena_size_(arena_size),
      desc_(desc),
      desc_rows_(static_cast<uint32_t>(desc_size / D_STRIDE)),
      tx_(tx),
      tx_rows_(static_cast<uint32_t>(tx_size / T_STRIDE)),
      batch_size_(batch_size) {}

IoLoop::~IoLoop() { Close(); }

int IoLoop::Open() {
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0) return errno;
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd_ < 0) return errno;
  epoll_event ev = {};
  ev.events = EPOLLIN;
  ev.data.u32 = kWakeToken;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &ev) != 0) return errno;
  std::lock_guard<std::mutex> hold(wake_lock);
  WakeFds().insert(wake_fd_);
  return 0;
}

void IoLoop::Close() {
  if (wake_fd_ >= 0) {
    std::lock_guard<std::mutex> hold(wake_lock);
    WakeFds().erase(wake_fd_);
    close(wake_fd_);
  }
  if (epoll_fd_ >= 0) close(epoll_fd_);
  wake_fd_ = epoll_fd_ = -1;
  ready_.clear();
  ports_.clear();
}

int IoLoop::AddPort(std::unique_ptr<Port> port) {
  const uint32_t index = port->index;
  if (index < ports_.size() && ports_[index] != nullptr) return EEXIST;
  if (port->fd >= 0) {
    epoll_event ev = {};
    // Edge-triggered: a busy port costs no epoll work per batch. Frames already waiting raise the first edge.
    ev.events = EPOLLIN | EPOLLET;
    ev.data.u32 = index;
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, port->fd, &ev) != 0) return errno;
  }
  if (index >= ports_.size()) ports_.resize(index + 1);
  ports_[index] = std::move(port);
  if (ports_[index]->kind == PortKind::kStream) {
    ports_[index]->last_error = ENOTCONN;
    if (!ConnectStream(ports_[index].get())) retries_ = true;
  }
  return 0;
}

// Takes a peer if there is one.
bool IoLoop::ConnectStream(Port* port) {
  if (!port->stream->Connect()) return false;
  epoll_event ev = {};
  ev.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  ev.data.u32 = port->index;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, port->stream->fd(), &ev) != 0) {
    port->last_error = errno;
    port->stream->Disconnect();
    return false;
  }
  port->last_error = 0;
  MarkReady(port);
  return true;
}

// Streams without a peer: those that connect look for one once a second. (Listeners are told by their descriptor.)
void IoLoop::RetryStreams() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  if (now.tv_sec == retried_) return;
  retried_ = now.tv_sec;
  retries_ = false;
  for (const auto& port : ports_) {
    if (port == nullptr || port->kind != PortKind::kStream || port->stream->fd() >= 0) continue;
    if (!ConnectStream(port.get()) && !port->stream->listens()) retries_ = true;
  }
}

void IoLoop::StreamEvent(Port* port, uint32_t events) {
  if (port->stream->fd() < 0) {
    ConnectStream(port);
    return;
  }
  if ((events & EPOLLOUT) != 0) port->stream->Drain();
  if ((events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) MarkReady(port);
}

void IoLoop::MarkReady(Port* port) {
  if (port->ready) return;
  port->ready = true;
  port->failures = 0;
  ready_.push_back(port);
}

bool IoLoop::RemovePort(uint32_t index) {
  if (FindPort(index) == nullptr) return false;
  Port* port = ports_[index].get();
  // Fails when the descriptor was closed first, which removed it from the set already.
  if (port->fd >= 0) epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, port->fd, nullptr);
  Forget(port);
  ports_[index].reset();
  return true;
}

// Takes the port off the ready list, keeping the service order of the others.
void IoLoop::Forget(Port* port) {
  const auto it = std::find(ready_.begin(), ready_.end(), port);
  if (it == ready_.end()) return;
  const size_t at = static_cast<size_t>(it - ready_.begin());
  ready_.erase(it);
  if (turn_ > at) turn_--;
  port->ready = false;
}

// Collects edges into the ready list. Returns true when a wake was asked for.
bool IoLoop::Wait(int timeout_ms) {
  epoll_event events[64];
  // EINTR (a profiler's signal, say) reads as "nothing yet": the caller returns 0 frames, which it may at any time.
  const int n = epoll_wait(epoll_fd_, events, 64, timeout_ms);
  bool woken = false;
  for (int i = 0; i < n; i++) {
    const uint32_t token = events[i].data.u32;
    if (token == kWakeToken) {
      uint64_t count;
      [[maybe_unused]] const ssize_t r = read(wake_fd_, &count, sizeof count);
      woken = true;
      continue;
    }
    Port* port = token < ports_.size() ? ports_[token].get() : nullptr;
    if (port == nullptr) continue;
    if (port->kind == PortKind::kStream) {
      StreamEvent(port, events[i].events);
    } else {
      MarkReady(port);
    }
  }
  return woken;
}

uint32_t IoLoop::Receive(int timeout_ms) {
  used_ = 0;
  rows_ = 0;
  clock_read_ = false;
  if (retries_) {
    RetryStreams();
    // Whoever blocks for ever would never look again.
    if (retries_ && (timeout_ms < 0 || timeout_ms > kRetryMs)) timeout_ms = kRetryMs;
  }
  // Block only when no port is known to have frames; otherwise just pick up new edges and wakes.
  bool woken = Wait(ready_.empty() ? timeout_ms : 0);
  for (;;) {
    // Rounds over the ready ports, starting one further each batch. The quantum shares the batch among them; what
    // quiet ports leave unused goes to the busy ones in the next round.
    const bool contended = int64_t{now_sec_} * 1000000 + now_usec_ < contended_until_;
    while (!ready_.empty() && rows_ < batch_size_ && RoomFor(1)) {
      uint32_t quantum = std::max<uint32_t>(1, (batch_size_ - rows_) / static_cast<uint32_t>(ready_.size()));
      if (contended) {
        const uint32_t share = kContendedFrames / static_cast<uint32_t>(ready_.size());
        quantum = std::min(quantum, std::clamp(share, kContendedLeast, kContendedMost));
      }
      size_t visits = ready_.size();
      while (visits-- > 0 && rows_ < batch_size_ && RoomFor(1)) {
        if (turn_ >= ready_.size()) turn_ = 0;
        Port* port = ready_[turn_];
        const uint32_t before = rows_;
        ReadPort(port, std::min(quantum, batch_size_ - rows_));
        if (rows_ != before && port->index != last_port_) {
          last_port_ = port->index;
          contended_until_ = int64_t{now_sec_} * 1000000 + now_usec_ + kContendedUsec;
        }
        // A drained port took itself off the list, and turn_ names its successor already.
        if (port->ready) turn_++;
      }
      if (contended && rows_ != 0) break;
    }
    if (rows_ != 0 || woken || timeout_ms >= 0) return rows_;
    // An edge whose frames an earlier batch took already: a caller who asked to block goes on blocking. (With a
    // timeout it is simply told early that there is nothing.)
    woken = Wait(-1);
    if (ready_.empty() && !woken) return 0;
  }
}

bool IoLoop::RoomFor(uint32_t frames) const {
  return AlignFrame(used_) + (uint64_t{kHeadroom} + kMaxFrame) * frames <= arena_size_;
}

// Bookkeeping after a failed read; true when the port may be tried again at once.
bool IoLoop::ReadFailed(Port* port, int err) {
  if (err == EINTR) return true;
  if (err != EAGAIN && err != EWOULDBLOCK) {
    // ENETDOWN and the like are reported once and hide nothing behind them; a dead TAP fails for ever. So one retry,
    // then wait for the next edge.
    port->last_error = err;
    if (++port->failures < 2) return true;
  }
  Forget(port);
  return false;
}

void IoLoop::ReadPort(Port* port, uint32_t limit) {
  switch (port->kind) {
    case PortKind::kTap:
    case PortKind::kDatagram:
      ReadTap(port, limit);
      break;
    case PortKind::kPacket:
      ReadPacket(port, limit);
      break;
    case PortKind::kStream:
      ReadStream(port, limit);
      break;
  }
}

void IoLoop::ReadTap(Port* port, uint32_t limit) {
  const uint32_t hdr = port->vnet_hdr_len;
  uint32_t got = 0;
  while (got < limit && RoomFor(1)) {
    const uint32_t frame = AlignFrame(used_ + kHeadroom);
    // A bare system call: the C library's read() is a cancellation point and costs as much again.
    const long n = syscall(SYS_read, port->fd, arena_ + frame - hdr, hdr + kMaxFrame);
    // An empty datagram is no frame and no end; it counts against the limit, or a flood of them would hold the loop.
    if (n == 0 && port->kind == PortKind::kDatagram) {
      got++;
      continue;
    }
    if (n <= static_cast<long>(hdr)) {
      if (ReadFailed(port, n < 0 ? errno : EAGAIN)) continue;
      break;
    }
    port->failures = 0;
    VnetHeader vnet = {};
    if (hdr != 0) memcpy(&vnet, arena_ + frame - hdr, sizeof vnet);
    const uint32_t len = static_cast<uint32_t>(n) - hdr;
    FillRow(*port, frame, len, len, vnet);
    used_ = frame + len;
    got++;
  }
}

namespace {

// What the kernel says about an AF_PACKET frame beside its bytes; false when it said nothing.
bool FindAuxData(msghdr* message, tpacket_auxdata* aux) {
  for (cmsghdr* c = CMSG_FIRSTHDR(message); c != nullptr; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
    memcpy(aux, CMSG_DATA(c), sizeof *aux);
    return true;
  }
  return false;
}

// Puts the tag the kernel moved into metadata back in front of the type field: the addresses move into the headroom.
void RestoreTag(const tpacket_auxdata& aux, uint8_t* frame) {
  const uint16_t type = (aux.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? aux.tp_vlan_tpid : ETH_P_8021Q;
  memmove(frame - kTagLength, frame, 12);
  frame[8] = static_cast<uint8_t>(type >> 8);
  frame[9] = static_cast<uint8_t>(type);
  frame[10] = static_cast<uint8_t>(aux.tp_vlan_tci >> 8);
  frame[11] = static_cast<uint8_t>(aux.tp_vlan_tci);
}

}  // namespace

void IoLoop::ReadPacket(Port* port, uint32_t limit) {
  const uint32_t hdr = port->vnet_hdr_len;
  uint32_t got = 0;
  while (got < limit && RoomFor(1)) {
    // recvmmsg wants its buffers beforehand, so these frames lie a full slot apart; pages never written cost nothing.
    uint32_t slots = std::min(limit - got, kRecvSlots);
    while (slots > 1 && !RoomFor(slots)) slots--;
    const uint32_t first = AlignFrame(used_ + kHeadroom);
    constexpr uint32_t kStep = kHeadroom + kMaxFrame;
    for (uint32_t i = 0; i < slots; i++) {
      recv_iov_[i].iov_base = arena_ + first + i * kStep - hdr;
      recv_iov_[i].iov_len = hdr + kMaxFrame;
      msghdr& m = recv_messages_[i].msg_hdr;
      memset(&m, 0, sizeof m);
      m.msg_iov = &recv_iov_[i];
      m.msg_iovlen = 1;
      m.msg_control = recv_aux_[i].bytes;
      m.msg_controllen = sizeof recv_aux_[i].bytes;
    }
    // MSG_TRUNC: the length on the wire, even if the frame did not fit.
    const int n = recvmmsg(port->fd, recv_messages_, slots, MSG_DONTWAIT | MSG_TRUNC, nullptr);
    if (n <= 0) {
      if (ReadFailed(port, n < 0 ? errno : EAGAIN)) continue;
      break;
    }
    port->failures = 0;
    for (int i = 0; i < n; i++) {
      const uint32_t received = recv_messages_[i].msg_len;
      if (received <= hdr) continue;
      uint32_t off = first + static_cast<uint32_t>(i) * kStep;
      VnetHeader vnet = {};
      if (hdr != 0) memcpy(&vnet, arena_ + off - hdr, sizeof vnet);
      uint32_t wire = received - hdr;
      uint32_t len = std::min(wire, kMaxFrame);
      tpacket_auxdata aux;
      if (len >= 14 && FindAuxData(&recv_messages_[i].msg_hdr, &aux)) {
        if ((aux.tp_status & TP_STATUS_VLAN_VALID) != 0) {
          RestoreTag(aux, arena_ + off);
          off -= kTagLength;
          len += kTagLength;
          wire += kTagLength;
          if ((vnet.flags & kVnetNeedsCsum) != 0) vnet.csum_start = static_cast<uint16_t>(vnet.csum_start + kTagLength);
          if (hdr != 0) vnet.hdr_len = static_cast<uint16_t>(vnet.hdr_len + kTagLength);
        }
        // A neighbour on this host leaves checksums to the hardware whether we asked for vnet headers or not.
        if (hdr == 0 && (aux.tp_status & TP_STATUS_CSUMNOTREADY) != 0) LocateChecksum(arena_ + off, len, &vnet);
      }
      FillRow(*port, off, len, wire, vnet);
      used_ = off + len;
      got++;
    }
    // It stopped at an empty queue, which is this port's EAGAIN: the next frame raises a new edge.
    if (static_cast<uint32_t>(n) < slots) {
      Forget(port);
      break;
    }
  }
}

void IoLoop::ReadStream(Port* port, uint32_t limit) {
  for (uint32_t got = 0; got < limit && RoomFor(1); got++) {
    const uint32_t frame = AlignFrame(used_ + kHeadroom);
    uint32_t len = 0;
    const FrameStream::Result result = port->stream->Next(arena_ + frame, &len);
    if (result == FrameStream::Result::kFrame) {
      FillRow(*port, frame, len, len, VnetHeader{});
      used_ = frame + len;
      continue;
    }
    Forget(port);
    if (result == FrameStream::Result::kClosed) {
      port->stream->Disconnect();
      port->last_error = ENOTCONN;
      // The next peer may be waiting already, without an edge to come.
      if (!ConnectStream(port) && !port->stream->listens()) retries_ = true;
    }
    return;
  }
}

void IoLoop::FillRow(const Port& port, uint32_t off, uint32_t len, uint32_t wire_len, const VnetHeader& vnet) {
  if (!clock_read_) {
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    now_sec_ = static_cast<int32_t>(now.tv_sec);
    now_usec_ = static_cast<int32_t>(now.tv_nsec / 1000);
    clock_read_ = true;
  }
  int32_t* d = desc_ + size_t{rows_++} * D_STRIDE;
  d[D_PORT] = static_cast<int32_t>(port.index);
  d[D_OFF] = static_cast<int32_t>(off);
  d[D_LEN] = static_cast<int32_t>(len);
  d[D_WIRE_LEN] = static_cast<int32_t>(wire_len);
  d[D_VNET_FLAGS] = vnet.flags;
  d[D_GSO_TYPE] = vnet.gso_type;
  d[D_HDR_LEN] = vnet.hdr_len;
  d[D_GSO_SIZE] = vnet.gso_size;
  d[D_CSUM_START] = vnet.csum_start;
  d[D_CSUM_OFF] = vnet.csum_offset;
  d[D_TS_SEC] = now_sec_;
  d[D_TS_USEC] = now_usec_;
  d[D_FRAME_NO] = 0;
  d[D_LINK_TYPE] = kLinkTypeEthernet;
  d[14] = d[15] = 0;
}

}  // namespace drawbridge
