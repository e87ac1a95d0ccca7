// The connection to the appliance: connect with backoff, heartbeat, cutting into frames, a bounded send queue with descriptors.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "driver.h"

#define OUT_BYTES (256 * 1024)
// Requests that need an answer with content are taken up only while this much is free.
#define ANSWER_ROOM (MAX_FRAME + 32 * 1024)
#define HANDSHAKE_MS 5000
#define BACKOFF_MIN_MS 100
// A refused driver waits longest; one that finds nobody looks often, since processes may be refused meanwhile.
#define BACKOFF_MAX_MS 1000
#define REFUSED_MS 5000

int link_fd = -1;
bool link_up;
uint64_t link_serial;

static struct link_target target;
static enum { DOWN, CONNECTING, HANDSHAKE, UP } state;
static uint64_t next_attempt, state_since, last_heard, last_ping;
static uint32_t backoff = BACKOFF_MIN_MS, ping_id;

static uint8_t out[OUT_BYTES];
static size_t out_start, out_end;
static uint64_t out_position;  // bytes sent since the connection began
static struct {
  uint64_t position;
  int fd;
  bool own;
} descriptors[MAX_OUTSTANDING + 64];
static unsigned descriptor_count;
static int substitute = -1;

static uint8_t in[MAX_FRAME];
static size_t in_have;

bool link_parse(const char *text, struct link_target *t) {
  unsigned cid, port;
  char rest;
  memset(t, 0, sizeof *t);
  if (strncmp(text, "unix:", 5) == 0 && text[5] == '/' && strlen(text + 5) < sizeof t->path) {
    t->kind = LINK_UNIX;
    strcpy(t->path, text + 5);
    return true;
  }
  if (sscanf(text, "vsock:%u:%u%c", &cid, &port, &rest) == 2) {
    t->kind = LINK_VSOCK;
    t->cid = cid;
    t->port = port;
    return true;
  }
  return false;
}

void link_init(const struct link_target *t) {
  target = *t;
  substitute = eventfd(0, EFD_CLOEXEC);
}

size_t link_room(void) { return OUT_BYTES - (out_end - out_start); }
bool link_wants_read(void) { return state != UP || link_room() >= ANSWER_ROOM; }
bool link_wants_write(void) { return state == CONNECTING || out_end > out_start; }

void link_close(const char *why) {
  if (link_fd < 0) return;
  log_line("connection: %s", why);
  close(link_fd);
  link_fd = -1;
  for (unsigned i = 0; i < descriptor_count; i++) {
    if (descriptors[i].own) close(descriptors[i].fd);
  }
  descriptor_count = 0;
  out_start = out_end = in_have = 0;
  out_position = 0;
  appliance_pid = -1;
  if (link_up) {
    link_up = false;
    events_connection_lost();
    jobs_reset();
  }
  state = DOWN;
  next_attempt = now_ms() + backoff;
  backoff = backoff * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : backoff * 2;
}

static void enter(int next) {
  state = next;
  if (next == HANDSHAKE) session_reset();
  state_since = last_heard = now_ms();
}

static void attempt(void) {
  link_serial++;
  struct sockaddr_un local = {.sun_family = AF_UNIX};
  struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_cid = target.cid, .svm_port = target.port};
  const bool is_unix = target.kind == LINK_UNIX;
  memcpy(local.sun_path, target.path, sizeof local.sun_path);
  link_fd = socket(is_unix ? AF_UNIX : AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int r = link_fd < 0 ? -1 : is_unix ? connect(link_fd, (void *)&local, sizeof local) : connect(link_fd, (void *)&vm, sizeof vm);
  if (r != 0 && errno != EINPROGRESS) {
    static int said;
    if (said != errno) log_line("connect: %s; trying again", strerror(errno));
    said = errno;
    if (link_fd >= 0) close(link_fd);
    link_fd = -1;
    next_attempt = now_ms() + backoff;
    backoff = backoff * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : backoff * 2;
    return;
  }
  enter(r == 0 ? HANDSHAKE : CONNECTING);
}

static void ping(void) {
  uint8_t buffer[HEADER_BYTES + 15 * 8];
  struct frame f = {buffer, sizeof buffer, 0};
  char text[128] = {0};
  const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  unsigned long pages = 0;
  if (fd >= 0) {
    if (read(fd, text, sizeof text - 1) > 0) sscanf(text, "%*u %lu", &pages);
    close(fd);
  }
  stats.resident_kib = pages * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
  frame_start(&f, M_PING, 0, ++ping_id);
  const uint64_t *values = &stats.events;
  for (size_t i = 0; i < sizeof stats / sizeof *values; i++) put_u64(&f, values[i]);
  frame_finish(&f);
  link_send(&f, -1, false);
}

uint64_t link_tick(uint64_t now) {
  if (state == DOWN) {
    if (now < next_attempt) return next_attempt - now;
    attempt();
    return state == DOWN ? backoff : HANDSHAKE_MS;
  }
  if (state != UP) {
    if (now - state_since < HANDSHAKE_MS) return HANDSHAKE_MS - (now - state_since);
    link_close("no answer");
    return backoff;
  }
  if (now - last_heard > 3ull * policy.heartbeat_ms) {
    link_close("the appliance is silent");
    return backoff;
  }
  if (now - last_ping >= policy.heartbeat_ms) {
    last_ping = now;
    ping();
  }
  return policy.heartbeat_ms - (now - last_ping);
}

bool link_send(const struct frame *f, int fd, bool own) {
  if (state < HANDSHAKE || link_room() < f->length || (fd >= 0 && descriptor_count == sizeof descriptors / sizeof descriptors[0])) {
    if (own) close(fd);
    return false;
  }
  if (OUT_BYTES - out_end < f->length) {
    memmove(out, out + out_start, out_end - out_start);
    out_end -= out_start;
    out_start = 0;
  }
  if (fd >= 0) {
    descriptors[descriptor_count].position = out_position + (out_end - out_start);
    descriptors[descriptor_count].fd = fd;
    descriptors[descriptor_count++].own = own;
  }
  memcpy(out + out_end, f->buf, f->length);
  out_end += f->length;
  return true;
}

void link_forget_fd(int fd) {
  for (unsigned i = 0; i < descriptor_count; i++) {
    if (descriptors[i].fd == fd) descriptors[i].fd = substitute;
  }
}

// One sendmsg carries at most one descriptor, at its first byte, so that the receiver can match them to frames.
static ssize_t send_some(void) {
  struct iovec iov = {out + out_start, out_end - out_start};
  union {
    struct cmsghdr header;
    uint8_t space[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
  unsigned with = 0;
  if (descriptor_count > 0 && descriptors[0].position == out_position) {
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    memset(&control, 0, sizeof control);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &descriptors[0].fd, sizeof(int));
    with = 1;
  }
  if (descriptor_count > with) {
    const uint64_t limit = descriptors[with].position - out_position;
    if (iov.iov_len > limit) iov.iov_len = limit;
  }
  const ssize_t n = sendmsg(link_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n <= 0) return n;
  if (with == 1) {
    if (descriptors[0].own) close(descriptors[0].fd);
    memmove(descriptors, descriptors + 1, --descriptor_count * sizeof descriptors[0]);
  }
  out_start += (size_t)n;
  out_position += (uint64_t)n;
  if (out_start == out_end) out_start = out_end = 0;
  return n;
}

void link_flush(void) {
  while (state >= HANDSHAKE && out_end > out_start) {
    const ssize_t n = send_some();
    if (n > 0 || errno == EINTR) continue;
    // ETOOMANYREFS: descriptors on the way that the appliance has not taken; they become fewer.
    if (errno != EAGAIN && errno != ETOOMANYREFS) link_close(strerror(errno));
    return;
  }
}

void link_writable(void) {
  if (state == CONNECTING) {
    int err = 0;
    socklen_t n = sizeof err;
    getsockopt(link_fd, SOL_SOCKET, SO_ERROR, &err, &n);
    if (err != 0) {
      link_close(strerror(err));
      return;
    }
    enter(HANDSHAKE);
  }
  link_flush();
}

void link_readable(void) {
  if (state == CONNECTING) return;
  for (int rounds = 0; rounds < 4 && link_fd >= 0; rounds++) {
    const ssize_t n = in_have < sizeof in ? recv(link_fd, in + in_have, sizeof in - in_have, MSG_DONTWAIT) : 0;
    if (n == 0 && in_have < sizeof in) {
      link_close("closed by the appliance");
      return;
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      link_close(strerror(errno));
      return;
    }
    if (n > 0) {
      in_have += (size_t)n;
      last_heard = now_ms();
    }
    size_t at = 0;
    while (in_have - at >= HEADER_BYTES && link_fd >= 0) {
      uint32_t length;
      memcpy(&length, in + at, 4);
      length = __builtin_bswap32(length);
      if (length < HEADER_BYTES || length > MAX_FRAME) {
        link_close("malformed frame");
        return;
      }
      if (in_have - at < length) break;
      // Answers would not fit: read on when something has left.
      if (state == UP && link_room() < ANSWER_ROOM) link_flush();
      if (link_fd < 0 || (state == UP && link_room() < ANSWER_ROOM)) break;
      session_frame(in + at, length);
      at += length;
    }
    if (link_fd < 0) return;
    memmove(in, in + at, in_have - at);
    in_have -= at;
    if (n <= 0 || at == 0) return;
  }
}

void link_resume(void) {
  if (in_have >= HEADER_BYTES && link_wants_read()) link_readable();
  if (events_unsent() && link_up) events_resend();
}

void link_refused(void) { backoff = REFUSED_MS; }

void link_established(void) {
  struct ucred peer;
  socklen_t n = sizeof peer;
  // Its own accesses are never asked about: it would wait for itself.
  if (target.kind == LINK_UNIX && getsockopt(link_fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.pid > 0) appliance_pid = peer.pid;
  enter(UP);
  last_ping = 0;
  backoff = BACKOFF_MIN_MS;
  link_up = true;
  stats.reconnects++;
}
