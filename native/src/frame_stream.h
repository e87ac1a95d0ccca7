// Ethernet frames over a UNIX stream socket as QEMU's `-netdev stream` carries them: a four-byte length in network order,
// then the frame. One peer at a time; it may come and go. Never blocks.
#pragma once

#include <sys/un.h>

#include <cstdint>
#include <memory>
#include <string>

#include "batch.h"
#include "segment.h"

namespace drawbridge {

// Fills `address`; false when the path does not fit (107 bytes).
bool UnixAddress(const std::string& path, sockaddr_un* address, uint32_t* length);

class FrameStream {
 public:
  // `listen_fd` >= 0: takes connections from it (the caller closes it). Otherwise connects to `path`.
  FrameStream(int listen_fd, const std::string& path) : listen_fd_(listen_fd), path_(path) {}
  ~FrameStream() { Disconnect(); }
  FrameStream(const FrameStream&) = delete;
  FrameStream& operator=(const FrameStream&) = delete;

  // Accepts or connects. True when a new connection stands; it is in no epoll set yet.
  bool Connect();
  void Disconnect();
  // Descriptor of the connection, -1 without one.
  int fd() const { return fd_; }
  bool listens() const { return listen_fd_ >= 0; }

  enum class Result { kFrame, kAgain, kClosed };
  // Copies the next whole frame to `to` (kMaxFrame bytes). kClosed: the peer went away, or sent what is no frame.
  Result Next(uint8_t* to, uint32_t* len);
  // A whole frame is in the buffer already: no event will tell of it.
  bool HasFrame() const;

  // Queues one frame. Returns 0, ENOTCONN, or ENOBUFS when the peer does not read.
  int Append(const TxSlot& slot);
  // Writes what is queued, as far as the socket takes it.
  void Drain();

 private:
  static constexpr uint32_t kPrefix = 4;
  static constexpr uint32_t kRxBytes = 2 * (kPrefix + kMaxFrame);
  // Frames a peer may be behind; as a TAP's queue holds 1000.
  static constexpr uint32_t kTxBytes = 1 << 20;

  const int listen_fd_;
  const std::string path_;
  int fd_ = -1;
  std::unique_ptr<uint8_t[]> rx_;
  uint32_t rx_start_ = 0, rx_end_ = 0;
  std::unique_ptr<uint8_t[]> tx_;
  uint32_t tx_start_ = 0, tx_end_ = 0;
};

}  // namespace drawbridge
