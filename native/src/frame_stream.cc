#include "frame_stream.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace drawbridge {

bool UnixAddress(const std::string& path, sockaddr_un* address, uint32_t* length) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address->sun_path) return false;
  memcpy(address->sun_path, path.data(), path.size());
  *length = static_cast<uint32_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return true;
}

bool FrameStream::Connect() {
  if (fd_ >= 0) return false;
  if (listen_fd_ >= 0) {
    fd_ = accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  } else {
    sockaddr_un address;
    uint32_t length;
    if (!UnixAddress(path_, &address, &length)) return false;
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ >= 0 && connect(fd_, reinterpret_cast<sockaddr*>(&address), length) != 0) {
      close(fd_);
      fd_ = -1;
    }
  }
  if (fd_ < 0) return false;
  if (rx_ == nullptr) rx_ = std::make_unique<uint8_t[]>(kRxBytes);
  if (tx_ == nullptr) tx_ = std::make_unique<uint8_t[]>(kTxBytes);
  rx_start_ = rx_end_ = tx_start_ = tx_end_ = 0;
  return true;
}

void FrameStream::Disconnect() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

namespace {

uint32_t ReadPrefix(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) << 24 | static_cast<uint32_t>(p[1]) << 16 | static_cast<uint32_t>(p[2]) << 8 | p[3];
}

}  // namespace

bool FrameStream::HasFrame() const {
  const uint32_t have = rx_end_ - rx_start_;
  return fd_ >= 0 && have >= kPrefix && have - kPrefix >= ReadPrefix(rx_.get() + rx_start_);
}

FrameStream::Result FrameStream::Next(uint8_t* to, uint32_t* len) {
  for (;;) {
    const uint32_t have = rx_end_ - rx_start_;
    if (have >= kPrefix) {
      const uint32_t size = ReadPrefix(rx_.get() + rx_start_);
      // Where one length is nonsense no later one can be trusted.
      if (size == 0 || size > kMaxFrame) return Result::kClosed;
      if (have - kPrefix >= size) {
        memcpy(to, rx_.get() + rx_start_ + kPrefix, size);
        *len = size;
        rx_start_ += kPrefix + size;
        return Result::kFrame;
      }
    }
    if (rx_start_ > 0) {
      memmove(rx_.get(), rx_.get() + rx_start_, have);
      rx_start_ = 0;
      rx_end_ = have;
    }
    const long n = syscall(SYS_read, fd_, rx_.get() + rx_end_, kRxBytes - rx_end_);
    if (n == 0) return Result::kClosed;
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK ? Result::kAgain : Result::kClosed;
    }
    rx_end_ += static_cast<uint32_t>(n);
  }
}

int FrameStream::Append(const TxSlot& slot) {
  if (fd_ < 0) return ENOTCONN;
  uint32_t size = 0;
  for (uint32_t i = 0; i < slot.iov_count; i++) size += static_cast<uint32_t>(slot.iov[i].iov_len);
  if (size == 0 || size > kMaxFrame) return EINVAL;
  if (tx_end_ + kPrefix + size > kTxBytes) {
    Drain();
    memmove(tx_.get(), tx_.get() + tx_start_, tx_end_ - tx_start_);
    tx_end_ -= tx_start_;
    tx_start_ = 0;
    if (tx_end_ + kPrefix + size > kTxBytes) return ENOBUFS;
  }
  uint8_t* p = tx_.get() + tx_end_;
  p[0] = static_cast<uint8_t>(size >> 24);
  p[1] = static_cast<uint8_t>(size >> 16);
  p[2] = static_cast<uint8_t>(size >> 8);
  p[3] = static_cast<uint8_t>(size);
  p += kPrefix;
  for (uint32_t i = 0; i < slot.iov_count; i++) {
    memcpy(p, slot.iov[i].iov_base, slot.iov[i].iov_len);
    p += slot.iov[i].iov_len;
  }
  tx_end_ += kPrefix + size;
  return 0;
}

void FrameStream::Drain() {
  while (fd_ >= 0 && tx_start_ < tx_end_) {
    // A peer that closed must not raise SIGPIPE; its end shows when it is read.
    const ssize_t n = send(fd_, tx_.get() + tx_start_, tx_end_ - tx_start_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) tx_start_ = tx_end_;
      break;
    }
    tx_start_ += static_cast<uint32_t>(n);
  }
  if (tx_start_ == tx_end_) tx_start_ = tx_end_ = 0;
}

}  // namespace drawbridge
