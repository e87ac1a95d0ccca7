// What is said on the connection: the mutual proof, the policy, dispositions, and requests about files.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "driver.h"

// Files up to this size are hashed by the main thread when they are in the page cache: a thread's turn costs more.
#define INLINE_HASH (128 * 1024)

static char vm_name[MAX_VM_NAME + 1], token[MAX_TOKEN + 1];
static uint32_t capabilities;
static uint8_t boot_id[16], own_nonce[32], appliance_nonce[32];
static enum { EXPECT_CHALLENGE, EXPECT_WELCOME, AUTHENTICATED } state;
static uint8_t content[HEADER_BYTES + 4 + MAX_CHUNK];

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

void session_init(const char *vm, const char *secret, uint32_t caps) {
  snprintf(vm_name, sizeof vm_name, "%s", vm);
  snprintf(token, sizeof token, "%s", secret);
  capabilities = caps;
  read_boot_id();
}

void session_reset(void) { state = EXPECT_CHALLENGE; }

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
  state = EXPECT_WELCOME;
}

static void on_welcome(struct reader *r) {
  uint8_t proof[SHA256_BYTES], different = 0;
  get_u16(r);
  const uint8_t *claimed = get_bytes(r, SHA256_BYTES);
  prove("drawbridge appliance 1", proof);
  for (int i = 0; i < SHA256_BYTES; i++) different |= proof[i] ^ claimed[i];
  if (r->bad || different != 0) {
    link_refused();
    link_close("the other end does not know the token: it is not the appliance");
    return;
  }
  state = AUTHENTICATED;
  link_established();
  log_line("connected to the appliance");
  events_resend();
}

static void on_config(struct reader *r) {
  struct policy next = {0};
  char text[MAX_PATH + 1];
  next.epoch = get_u32(r);
  next.heartbeat_ms = get_u32(r);
  next.max_outstanding = get_u16(r);
  next.pass_descriptors = get_u8(r) && (capabilities & CAP_DESCRIPTORS) != 0;
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
  struct iovec iov = {content + HEADER_BYTES + 4, length};
  const ssize_t n = preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT);
  struct stat st;
  // A short read may mean the end of the file or the end of what is cached.
  if (n < 0 || ((uint32_t)n < length && (fstat(fd, &st) != 0 || (uint64_t)n + offset < (uint64_t)st.st_size))) {
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0 || !jobs_read(id, copy, offset, length)) answer_status(M_DATA, id, copy < 0 ? (uint32_t)errno : EBUSY);
    return;
  }
  stats.bytes_read += (uint64_t)n;
  struct frame f = {content, sizeof content, 0};
  frame_start(&f, M_DATA, 0, id);
  put_u32(&f, 0);
  f.length += (size_t)n;
  frame_finish(&f);
  link_send(&f, -1, false);
}

// False when the file is large or not in the page cache.
static bool hash_at_once(uint32_t id, int fd) {
  struct sha256 s;
  struct stat before, after;
  uint8_t digest[SHA256_BYTES], identity[IDENTITY_BYTES], buffer[HEADER_BYTES + 4 + IDENTITY_BYTES + SHA256_BYTES];
  if (fstat(fd, &before) != 0 || before.st_size > INLINE_HASH) return false;
  sha256_init(&s);
  for (off_t at = 0; at < before.st_size;) {
    const struct iovec iov = {content, sizeof content};
    const ssize_t n = preadv2(fd, &iov, 1, at, RWF_NOWAIT);
    if (n <= 0) return false;
    sha256_update(&s, content, (size_t)n);
    at += n;
  }
  sha256_final(&s, digest);
  if (fstat(fd, &after) != 0 || after.st_size != before.st_size) return false;
  identity_of(&after, identity);
  stats.bytes_read += (uint64_t)after.st_size;
  struct frame f = {buffer, sizeof buffer, 0};
  frame_start(&f, M_DIGEST, 0, id);
  put_u32(&f, 0);
  put_bytes(&f, identity, sizeof identity);
  put_bytes(&f, digest, sizeof digest);
  frame_finish(&f);
  return link_send(&f, -1, false);
}

static void on_hash(uint32_t id, struct reader *r) {
  struct reader again = *r;
  const uint32_t file = get_u32(r);
  if (file & HANDLE_BIT) {
    if (!jobs_path(M_HASH, id, &again)) answer_status(M_DIGEST, id, EBUSY);
    return;
  }
  const int fd = events_fd(file, NULL);
  if (fd >= 0 && hash_at_once(id, fd)) return;
  const int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) {
    answer_status(M_DIGEST, id, fd < 0 ? ECANCELED : (uint32_t)errno);
  } else if (!jobs_hash(id, copy)) {
    answer_status(M_DIGEST, id, EBUSY);
  }
}

void session_frame(const uint8_t *frame, size_t length) {
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
    link_refused();
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
  if (state != AUTHENTICATED) {
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
