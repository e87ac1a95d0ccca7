// The connection to the appliance: connect with backoff, mutual proof, heartbeat, a bounded send queue with descriptors.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
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
static char vm_name[MAX_VM_NAME + 1], token[MAX_TOKEN + 1];
static uint32_t capabilities;
static uint8_t boot_id[16], own_nonce[32], appliance_nonce[32];
static enum { DOWN, CONNECTING, EXPECT_CHALLENGE, EXPECT_WELCOME, UP } state;
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

static void on_frame(const uint8_t *frame, size_t length);

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

static void read_boot_id(void) {
  char text[40] = {0};
  const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  unsigned have = 0;
  for (ssize_t i = 0; i < n && have < 32; i++) {
    const char c = text[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) continue;
    boot_id[have / 2] = (uint8_t)(boot_id[have / 2] << 4 | digit);
    have++;
  }
}

void link_init(const struct link_target *t, const char *vm, const char *secret, uint32_t caps) {
  target = *t;
  snprintf(vm_name, sizeof vm_name, "%s", vm);
  snprintf(token, sizeof token, "%s", secret);
  capabilities = caps | (t->kind == LINK_UNIX ? CAP_DESCRIPTORS : 0);
  substitute = eventfd(0, EFD_CLOEXEC);
  read_boot_id();
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
  enter(r == 0 ? EXPECT_CHALLENGE : CONNECTING);
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
  if (state < EXPECT_CHALLENGE || link_room() < f->length || (fd >= 0 && descriptor_count == sizeof descriptors / sizeof descriptors[0])) {
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
  while (state >= EXPECT_CHALLENGE && out_end > out_start) {
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
    enter(EXPECT_CHALLENGE);
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
      on_frame(in + at, length);
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

static void prove(const char *label, uint8_t proof[SHA256_BYTES]) {
  const struct iovec parts[] = {{(void *)(uintptr_t)label, strlen(label)}, {appliance_nonce, 32}, {own_nonce, 32}, {vm_name, strlen(vm_name)}};
  hmac_sha256(token, parts, 4, proof);
}

static void on_challenge(struct reader *r) {
  uint8_t buffer[512 + 3 * MAX_NAME], proof[SHA256_BYTES];
  struct frame f = {buffer, sizeof buffer, 0};
  struct utsname uts;
  const uint32_t magic = get_u32(r);
  const uint16_t lowest = get_u16(r), highest = get_u16(r);
  const uint8_t *nonce = get_bytes(r, 32);
  if (r->bad || magic != PROTO_MAGIC || lowest > PROTO_VERSION || highest < PROTO_VERSION) {
    link_close("the appliance speaks another protocol");
    return;
  }
  memcpy(appliance_nonce, nonce, sizeof appliance_nonce);
  if (getrandom(own_nonce, sizeof own_nonce, 0) != sizeof own_nonce) die("getrandom: %s", strerror(errno));
  prove("drawbridge driver 1", proof);
  uname(&uts);
  frame_start(&f, M_HELLO, 0, 0);
  put_u32(&f, PROTO_MAGIC);
  put_u16(&f, PROTO_VERSION);
  put_u32(&f, capabilities);
  put_bytes(&f, own_nonce, sizeof own_nonce);
  put_bytes(&f, proof, sizeof proof);
  put_bytes(&f, boot_id, sizeof boot_id);
  put_text(&f, vm_name, MAX_VM_NAME);
  put_text(&f, uts.nodename, MAX_NAME);
  put_text(&f, uts.release, MAX_NAME);
  put_text(&f, DRIVER_VERSION, MAX_NAME);
  frame_finish(&f);
  link_send(&f, -1, false);
  enter(EXPECT_WELCOME);
}

static void on_welcome(struct reader *r) {
  uint8_t proof[SHA256_BYTES], different = 0;
  get_u16(r);
  const uint8_t *claimed = get_bytes(r, SHA256_BYTES);
  prove("drawbridge appliance 1", proof);
  for (int i = 0; i < SHA256_BYTES; i++) different |= proof[i] ^ claimed[i];
  if (r->bad || different != 0) {
    backoff = REFUSED_MS;
    link_close("the other end does not know the token: it is not the appliance");
    return;
  }
  struct ucred peer;
  socklen_t n = sizeof peer;
  // Its own accesses are never asked about: it would wait for itself.
  if (target.kind == LINK_UNIX && getsockopt(link_fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.pid > 0) appliance_pid = peer.pid;
  enter(UP);
  last_ping = 0;
  backoff = BACKOFF_MIN_MS;
  link_up = true;
  stats.reconnects++;
  log_line("connected to the appliance");
  events_resend();
}

static void on_config(struct reader *r) {
  struct policy next = {0};
  char text[MAX_PATH + 1];
  next.epoch = get_u32(r);
  next.heartbeat_ms = get_u32(r);
  next.max_outstanding = get_u16(r);
  next.pass_descriptors = get_u8(r) && target.kind == LINK_UNIX;
  next.kernel_cache = get_u8(r);
  const unsigned mounts = get_u8(r);
  for (unsigned i = 0; i < mounts && i < MAX_MOUNTS && !r->bad; i++) {
    get_text(r, text, MAX_PATH);
    struct mount *m = &next.mounts[next.mount_count++];
    m->path = strdup(text);
    m->fd = -1;
    m->scope = get_u8(r);
    m->events = get_u8(r);
    m->failure = get_u8(r);
    m->timeout_ms = get_u32(r);
    m->max_size = get_u64(r);
    if (m->path == NULL || text[0] != '/' || m->timeout_ms == 0 || m->timeout_ms > 600000) r->bad = true;
  }
  const unsigned filters = get_u16(r);
  for (unsigned i = 0; i < filters && i < MAX_FILTERS && !r->bad; i++) {
    struct filter *f = &next.filters[next.filter_count++];
    f->kind = get_u8(r);
    get_text(r, text, MAX_PATH);
    f->value = strdup(text);
    f->uid = (uint32_t)strtoul(text, NULL, 10);
    if (f->value == NULL || text[0] == 0) r->bad = true;
    next.by_path |= f->kind == FILTER_PATH || f->kind == FILTER_PATTERN;
    next.by_process |= f->kind == FILTER_PROCESS;
    next.by_user |= f->kind == FILTER_USER;
    next.by_type |= f->kind == FILTER_TYPE;
  }
  if (r->bad || r->at != r->end || mounts > MAX_MOUNTS || filters > MAX_FILTERS || next.heartbeat_ms < 100) {
    policy_free(&next);
    link_close("malformed configuration");
    return;
  }
  if (next.max_outstanding < 1) next.max_outstanding = 1;
  if (next.max_outstanding > MAX_OUTSTANDING) next.max_outstanding = MAX_OUTSTANDING;
  static struct policy old;
  old = policy;
  policy = next;
  marks_apply(&policy, &old);
  // Filters or limits may have changed what the kernel should ask about.
  marks_forget();
  if (old.epoch != policy.epoch) remember_stale();
  events_policy_changed();
  policy_free(&old);
}

static void answer_status(uint8_t type, uint32_t id, uint32_t status) {
  uint8_t buffer[128];
  struct frame f = {buffer, sizeof buffer, 0};
  static const uint8_t zeros[IDENTITY_BYTES + SHA256_BYTES];
  frame_start(&f, type, type == M_ENTRIES ? FLAG_LAST : 0, id);
  put_u32(&f, status);
  if (type == M_DIGEST) put_bytes(&f, zeros, sizeof zeros);
  if (type == M_RESULT) put_u32(&f, 0);
  if (type == M_OPENED) {
    put_u32(&f, 0);
    put_bytes(&f, zeros, IDENTITY_BYTES + 16);
  }
  frame_finish(&f);
  link_send(&f, -1, false);
}

// What is in the page cache is answered at once; what needs a disk goes to a worker, so that other files do not wait.
static void on_read(uint32_t id, struct reader *r) {
  static uint8_t buffer[HEADER_BYTES + 4 + MAX_CHUNK];
  struct reader again = *r;
  const uint32_t file = get_u32(r);
  const uint64_t offset = get_u64(r);
  const uint32_t length = get_u32(r);
  if (r->bad || length < 1 || length > MAX_CHUNK || offset > INT64_MAX) {
    link_close("malformed read");
    return;
  }
  if (file & HANDLE_BIT) {
    if (!jobs_path(M_READ, id, &again)) answer_status(M_DATA, id, EBUSY);
    return;
  }
  const int fd = events_fd(file, NULL);
  if (fd < 0) {
    answer_status(M_DATA, id, ECANCELED);
    return;
  }
  struct iovec iov = {buffer + HEADER_BYTES + 4, length};
  const ssize_t n = preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT);
  struct stat st;
  // A short read may mean the end of the file or the end of what is cached.
  if (n < 0 || ((uint32_t)n < length && (fstat(fd, &st) != 0 || (uint64_t)n + offset < (uint64_t)st.st_size))) {
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0 || !jobs_read(id, copy, offset, length)) answer_status(M_DATA, id, copy < 0 ? (uint32_t)errno : EBUSY);
    return;
  }
  stats.bytes_read += (uint64_t)n;
  struct frame f = {buffer, sizeof buffer, 0};
  frame_start(&f, M_DATA, 0, id);
  put_u32(&f, 0);
  f.length += (size_t)n;
  frame_finish(&f);
  link_send(&f, -1, false);
}

static void on_hash(uint32_t id, struct reader *r) {
  struct reader again = *r;
  const uint32_t file = get_u32(r);
  if (file & HANDLE_BIT) {
    if (!jobs_path(M_HASH, id, &again)) answer_status(M_DIGEST, id, EBUSY);
    return;
  }
  const int fd = events_fd(file, NULL);
  const int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) {
    answer_status(M_DIGEST, id, fd < 0 ? ECANCELED : (uint32_t)errno);
  } else if (!jobs_hash(id, copy)) {
    answer_status(M_DIGEST, id, EBUSY);
  }
}

static void on_frame(const uint8_t *frame, size_t length) {
  struct reader r = {frame, frame + length, false};
  get_u32(&r);
  const uint8_t type = get_u8(&r);
  get_u8(&r);
  get_u16(&r);
  const uint32_t id = get_u32(&r);
  if (type == M_REFUSED) {
    char text[256];
    get_u8(&r);
    get_text(&r, text, 255);
    log_line("refused by the appliance: %s", text);
    backoff = REFUSED_MS;
    link_close("refused");
    return;
  }
  if (state == EXPECT_CHALLENGE && type == M_CHALLENGE) {
    on_challenge(&r);
    return;
  }
  if (state == EXPECT_WELCOME && type == M_WELCOME) {
    on_welcome(&r);
    return;
  }
  if (state != UP) {
    link_close("unexpected message before the proof");
    return;
  }
  switch (type) {
    case M_DISPOSITION: {
      const uint8_t verdict = get_u8(&r), flags = get_u8(&r);
      if (r.bad || verdict < VERDICT_ALLOW || verdict > VERDICT_DENY) {
        link_close("malformed disposition");
      } else {
        events_disposition(id, verdict, (flags & 1) != 0);
      }
      return;
    }
    case M_CONFIG: on_config(&r); return;
    case M_READ: on_read(id, &r); return;
    case M_HASH: on_hash(id, &r); return;
    case M_MORE: jobs_more(id, get_u16(&r)); return;
    case M_STOP: jobs_stop(id); return;
    case M_FORGET:
      policy.epoch = get_u32(&r);
      remember_stale();
      marks_forget();
      return;
    case M_PONG: return;
    case M_OPEN:
      if (!jobs_path(type, id, &r)) answer_status(M_OPENED, id, EBUSY);
      return;
    case M_LIST:
      if (!jobs_path(type, id, &r)) answer_status(M_ENTRIES, id, EBUSY);
      return;
    case M_CLOSE: case M_FOLLOW: case M_REMOVE: case M_CREATE: case M_WRITE: case M_COMMIT:
      if (!jobs_path(type, id, &r)) answer_status(M_RESULT, id, EBUSY);
      return;
    default: link_close("unknown message");
  }
}
