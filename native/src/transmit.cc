// The sending half of the batch loop.
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "io_loop.h"

namespace drawbridge {

TxQueue::TxQueue() {
  memset(messages_, 0, sizeof messages_);
  for (uint32_t i = 0; i < kSlots; i++) messages_[i].msg_hdr.msg_iov = slots_[i].iov;
}

TxSlot* TxQueue::Slot() {
  if (queued_ == kSlots) Drain();
  return &slots_[queued_];
}

int TxQueue::Commit() {
  TxSlot* slot = &slots_[queued_];
  if (port_->kind == PortKind::kStream) return port_->stream->Append(*slot);
  if (port_->kind != PortKind::kTap) {
    messages_[queued_].msg_hdr.msg_name = port_->peer_length == 0 ? nullptr : &port_->peer;
    messages_[queued_].msg_hdr.msg_namelen = port_->peer_length;
    messages_[queued_].msg_hdr.msg_iovlen = slot->iov_count;
    row_status_[queued_] = status_;
    queued_++;
    return *status_;  // an earlier segment of this frame may have failed in a Drain: do not send the rest
  }
  long n;
  do {
    n = slot->iov_count == 1 ? syscall(SYS_write, port_->fd, slot->iov[0].iov_base, slot->iov[0].iov_len)
                             : syscall(SYS_writev, port_->fd, slot->iov, static_cast<int>(slot->iov_count));
  } while (n < 0 && errno == EINTR);
  return n < 0 ? errno : 0;
}

void TxQueue::Drain() {
  if (port_->kind == PortKind::kStream) port_->stream->Drain();
  uint32_t sent = 0;
  while (sent < queued_) {
    const int n = sendmmsg(port_->fd, messages_ + sent, queued_ - sent, MSG_DONTWAIT);
    if (n > 0) {
      sent += static_cast<uint32_t>(n);
      continue;
    }
    const int err = n < 0 ? errno : EIO;
    if (err == EINTR) continue;
    if ((err == EAGAIN || err == ENOBUFS) && retries_ > 0) {
      retries_--;
      if (err == EAGAIN) {
        pollfd writable = {port_->fd, POLLOUT, 0};
        poll(&writable, 1, 1);
      } else {
        sched_yield();  // the device queue is full: no event tells when it is not
      }
      continue;
    }
    if (*row_status_[sent] == 0) *row_status_[sent] = err;
    sent++;
  }
  queued_ = 0;
}

uint32_t IoLoop::Flush(uint32_t count) {
  queue_.StartFlush();
  Port* port = nullptr;
  int32_t port_index = -1;
  for (uint32_t i = 0; i < count; i++) {
    int32_t* row = tx_ + size_t{i} * T_STRIDE;
    row[T_STATUS] = 0;
    if (port == nullptr || row[T_PORT] != port_index) {
      if (port != nullptr) queue_.Drain();
      port_index = row[T_PORT];
      port = FindPort(static_cast<uint32_t>(port_index));
      if (port == nullptr) {
        row[T_STATUS] = ENODEV;
        continue;
      }
      queue_.SelectPort(port);
    }
    queue_.SelectRow(&row[T_STATUS]);
    const int err = SendRow(*port, row);
    if (err != 0) row[T_STATUS] = err;
  }
  if (port != nullptr) queue_.Drain();

  uint32_t failed = 0;
  for (uint32_t i = 0; i < count; i++) failed += tx_[size_t{i} * T_STRIDE + T_STATUS] != 0;
  return failed;
}

int IoLoop::SendRow(const Port& port, const int32_t* row) {
  // JavaScript may have written anything into the tables: nothing is dereferenced before it is known to be inside.
  const uint32_t desc_row = static_cast<uint32_t>(row[T_DESC]);
  if (desc_row >= desc_rows_) return EINVAL;
  const int32_t* d = desc_ + size_t{desc_row} * D_STRIDE;
  const uint32_t off = static_cast<uint32_t>(d[D_OFF]), len = static_cast<uint32_t>(d[D_LEN]);
  if (uint64_t{off} + len > arena_size_) return EINVAL;
  FrameParts frame;
  if (int err = ApplyTag(arena_ + off, len, VnetOfRow(d), row[T_VLAN], &frame)) return err;
  if (port.vnet_hdr_len == 0) return EmitWire(frame, port.mtu, &queue_);

  if (int err = CheckWhole(frame, port.mtu)) return err;
  // The header length is a hint, but the kernel refuses one beyond the frame (the pipeline may have shortened it).
  if (frame.vnet.hdr_len > frame.size()) frame.vnet.hdr_len = static_cast<uint16_t>(frame.size());
  TxSlot* slot = queue_.Slot();
  memset(slot->store, 0, kMaxVnetHeader);
  memcpy(slot->store, &frame.vnet, sizeof frame.vnet);
  memcpy(slot->store + port.vnet_hdr_len, frame.head, frame.head_len);
  slot->Reset();
  slot->Add(slot->store, port.vnet_hdr_len + frame.head_len);
  slot->Add(frame.body, frame.body_len);
  return queue_.Commit();
}

}  // namespace drawbridge
