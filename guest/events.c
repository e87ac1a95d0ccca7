// Permission events: each is answered exactly once - by a filter, by what is remembered, by the appliance, or by the
// failure policy of its mount when the appliance does not answer in time.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

// How long the file of a close-write event is kept open for the appliance.
#define NOTIFICATION_MS 60000
// A file younger than this may be changed again within the same tick of its timestamps: its identity is not enough.
#define SETTLED_NS 30000000ll

struct pending {
  int fd;  // -1: free
  uint32_t id;
  uint8_t kind, mount;
  bool permission, sent;
  uint64_t deadline, raised_us;
  int32_t pid;
  uint8_t identity[IDENTITY_BYTES];
};

struct stats stats;
pid_t own_pid, appliance_pid = -1;
static struct pending *table;
static uint16_t *free_slots;
static unsigned free_count, notifications_held, generation;
static uint64_t next_deadline = UINT64_MAX;
// When the connection was lost: until a time limit later events still wait for it to come back.
static uint64_t lost_at;
static bool unsent;
static uint8_t event_buffer[HEADER_BYTES + 3 + IDENTITY_BYTES + 16 + 8 + 2 * (2 + MAX_PATH) + 4];

void events_init(void) {
  own_pid = getpid();
  table = calloc(MAX_OUTSTANDING, sizeof *table);
  free_slots = calloc(MAX_OUTSTANDING, sizeof *free_slots);
  if (table == NULL || free_slots == NULL) die("out of memory");
  for (int i = MAX_OUTSTANDING - 1; i >= 0; i--) {
    table[i].fd = -1;
    free_slots[free_count++] = (uint16_t)i;
  }
  lost_at = now_ms();
}

static void respond(int fd, uint8_t verdict) {
  const struct fanotify_response answer = {.fd = fd, .response = verdict == VERDICT_DENY ? FAN_DENY : FAN_ALLOW};
  while (write(permission_fd, &answer, sizeof answer) < 0 && errno == EINTR) {
  }
}

static uint8_t by_policy(const struct mount *m, const uint8_t identity[IDENTITY_BYTES]) {
  switch (m->failure) {
    case FAIL_DENY: return VERDICT_DENY;
    case FAIL_LAST_GOOD: return remember_get(identity, false) == VERDICT_ALLOW ? VERDICT_ALLOW : VERDICT_DENY;
    default: return VERDICT_ALLOW;
  }
}

static void release(struct pending *p) {
  link_forget_fd(p->fd);
  close(p->fd);
  p->fd = -1;
  if (!p->permission) notifications_held--;
  free_slots[free_count++] = (uint16_t)(p - table);
  stats.outstanding--;
}

// Nothing may change the file behind a remembered answer unseen: nobody has it open for writing (a mapping can be
// written without any event), it is still what was judged, and its timestamps are old enough to show the next change.
static bool settled(int fd, const uint8_t identity[IDENTITY_BYTES]) {
  struct stat st;
  struct timespec now;
  uint8_t is[IDENTITY_BYTES];
  if (fstat(fd, &st) != 0) return false;
  identity_of(&st, is);
  if (memcmp(is, identity, IDENTITY_BYTES) != 0) return false;
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t age = (int64_t)(now.tv_sec - st.st_ctim.tv_sec) * 1000000000ll + (now.tv_nsec - st.st_ctim.tv_nsec);
  if (age < SETTLED_NS) return false;
  // A read lease is granted only while no writer exists; it is given back at once.
  if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0) return false;
  fcntl(fd, F_SETLEASE, F_UNLCK);
  return true;
}

static void path_of(int fd, const struct mount *m, char path[MAX_PATH + 1]) {
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, MAX_PATH);
  path[n > 0 ? n : 0] = 0;
  const size_t root = strlen(m->path);
  if (m->scope != SCOPE_FILESYSTEM || root < 2 || (size_t)n + root > MAX_PATH || strncmp(path, m->path, root) == 0) return;
  // Opened in a container: the path is the container's. It is told as it is seen from here, if it is there.
  struct stat here, there;
  char joined[2 * MAX_PATH + 2];
  snprintf(joined, sizeof joined, "%s%s", m->path, path);
  if (fstat(fd, &there) == 0 && lstat(joined, &here) == 0 && here.st_ino == there.st_ino && here.st_dev == there.st_dev) {
    memcpy(path, joined, strlen(joined) + 1);
  }
}

static bool send_event(struct pending *p) {
  static struct process_info who;
  static char path[MAX_PATH + 1];
  struct stat st;
  if (fstat(p->fd, &st) != 0) return false;
  process_lookup(p->pid, &who);
  path_of(p->fd, &policy.mounts[p->mount], path);
  const uint64_t waited = now_us() - p->raised_us;
  struct frame f = {event_buffer, sizeof event_buffer, 0};
  frame_start(&f, M_EVENT, policy.pass_descriptors ? FLAG_DESCRIPTOR : 0, p->id);
  put_u8(&f, p->kind);
  put_u8(&f, p->permission);
  put_u8(&f, p->mount);
  put_meta(&f, &st);
  put_u32(&f, who.pid);
  put_u32(&f, who.uid);
  put_text(&f, who.image, MAX_PATH);
  put_u32(&f, waited > UINT32_MAX ? UINT32_MAX : (uint32_t)waited);
  put_text(&f, path[0] == 0 ? "?" : path, MAX_PATH);
  frame_finish(&f);
  p->sent = link_send(&f, policy.pass_descriptors ? p->fd : -1, false);
  return p->sent;
}

static bool filtered(int fd, const struct stat *st, const struct mount *m, pid_t pid) {
  if (m->max_size > 0 && (uint64_t)st->st_size > m->max_size) return true;
  static struct process_info who;
  static char path[MAX_PATH + 1];
  if (policy.by_process || policy.by_user) process_lookup(pid, &who);
  if (policy.by_path) path_of(fd, m, path);
  const char *type = NULL;
  bool type_wanted = !policy.by_type;
  if (policy.by_type) {
    uint8_t head[8];
    const ssize_t n = pread(fd, head, sizeof head, 0);
    type = file_type(head, n > 0 ? (size_t)n : 0);
  }
  for (int i = 0; i < policy.filter_count; i++) {
    const struct filter *f = &policy.filters[i];
    switch (f->kind) {
      case FILTER_PATH: {
        const size_t n = strlen(f->value);
        if (strncmp(path, f->value, n) == 0 && (path[n] == 0 || path[n] == '/' || f->value[n - 1] == '/')) return true;
        break;
      }
      case FILTER_PATTERN:
        if (pattern_matches(f->value, path)) return true;
        break;
      case FILTER_PROCESS:
        if (strcmp(f->value, who.image) == 0) return true;
        break;
      case FILTER_USER:
        if (f->uid == who.uid && who.image[0] != 0) return true;
        break;
      case FILTER_TYPE:
        type_wanted = type_wanted || strcmp(f->value, type) == 0;
        break;
    }
  }
  return !type_wanted;
}

static void refuse_to_wait(int fd, bool permission, const struct mount *m, const uint8_t *identity, uint64_t *reason) {
  (*reason)++;
  if (permission) {
    stats.failed++;
    respond(fd, by_policy(m, identity));
  } else {
    stats.notifications_lost++;
  }
  close(fd);
}

// Marks are shared by the entries of a filesystem: one may bring events that another has not asked for.
static bool wanted(const struct mount *m, uint64_t mask) {
  return ((mask & FAN_OPEN_EXEC_PERM) && (m->events & MASK_OPEN_EXEC)) || ((mask & FAN_OPEN_PERM) && (m->events & MASK_OPEN)) ||
         ((mask & FAN_ACCESS_PERM) && (m->events & MASK_ACCESS)) || ((mask & FAN_CLOSE_WRITE) && (m->events & MASK_CLOSE_WRITE));
}

static void take(int fd, uint64_t mask, pid_t pid) {
  const bool permission = (mask & (FAN_OPEN_PERM | FAN_OPEN_EXEC_PERM | FAN_ACCESS_PERM)) != 0;
  struct stat st;
  int mount = -1;
  if (permission) {
    stats.events++;
  } else {
    stats.notifications++;
  }
  const bool ours = pid == own_pid || pid == appliance_pid;
  if (!ours && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) mount = mount_of(&st, fd);
  if (mount >= 0 && !permission) {
    // What was written is unknown until it is judged.
    uint8_t was[IDENTITY_BYTES];
    identity_of(&st, was);
    remember_drop(was);
    marks_unignore(fd);
  }
  if (mount < 0 || !wanted(&policy.mounts[mount], mask) || filtered(fd, &st, &policy.mounts[mount], pid)) {
    if (permission) {
      stats.filtered++;
      respond(fd, VERDICT_ALLOW);
    }
    close(fd);
    return;
  }
  const struct mount *m = &policy.mounts[mount];
  uint8_t identity[IDENTITY_BYTES];
  identity_of(&st, identity);
  if (permission) {
    const uint8_t known = remember_get(identity, true);
    if (known != 0 && settled(fd, identity)) {
      stats.remembered++;
      if (known == VERDICT_ALLOW && policy.kernel_cache) marks_ignore(fd);
      respond(fd, known);
      close(fd);
      return;
    }
  }
  const uint64_t now = now_ms();
  uint64_t deadline = now + (permission ? m->timeout_ms : NOTIFICATION_MS);
  if (!link_up && permission) {
    // A short restart of the appliance costs nobody his protection; a long one does not make everybody wait.
    const uint64_t grace = lost_at + m->timeout_ms;
    if (grace <= now) {
      refuse_to_wait(fd, permission, m, identity, &stats.disconnected);
      return;
    }
    if (deadline > grace) deadline = grace;
  }
  if (stats.outstanding >= policy.max_outstanding || (!permission && notifications_held >= policy.max_outstanding / 2)) {
    refuse_to_wait(fd, permission, m, identity, &stats.overflows);
    return;
  }
  const uint16_t slot = free_slots[--free_count];
  struct pending *p = &table[slot];
  generation = (generation + 1) & 0x7ffff;
  *p = (struct pending){.fd = fd, .id = generation << 12 | slot, .permission = permission, .mount = (uint8_t)mount, .deadline = deadline, .raised_us = now_us(), .pid = pid};
  p->kind = mask & FAN_OPEN_EXEC_PERM ? EVENT_OPEN_EXEC : mask & FAN_OPEN_PERM ? EVENT_OPEN : mask & FAN_ACCESS_PERM ? EVENT_ACCESS : EVENT_CLOSE_WRITE;
  memcpy(p->identity, identity, IDENTITY_BYTES);
  stats.outstanding++;
  if (!permission) notifications_held++;
  if (deadline < next_deadline) next_deadline = deadline;
  // Without room on the link it is sent once there is some, or its time limit passes.
  if (link_up && !send_event(p)) unsent = true;
}

void events_read(void) {
  static uint8_t buffer[8192] __attribute__((aligned(8)));
  const ssize_t n = read(permission_fd, buffer, sizeof buffer);
  if (n <= 0) {
    if (n < 0 && errno != EAGAIN && errno != EINTR) log_line("fanotify read: %s", strerror(errno));
    return;
  }
  const struct fanotify_event_metadata *e = (const void *)buffer;
  for (ssize_t left = n; FAN_EVENT_OK(e, left); e = FAN_EVENT_NEXT(e, left)) {
    if (e->vers != FANOTIFY_METADATA_VERSION) die("this kernel's fanotify has another format");
    if (e->fd < 0) {
      stats.notifications_lost++;  // FAN_Q_OVERFLOW
      continue;
    }
    take(e->fd, e->mask, e->pid);
  }
}

bool events_unsent(void) { return unsent; }

void events_resend(void) {
  unsent = false;
  for (int i = 0; i < MAX_OUTSTANDING; i++) {
    if (table[i].fd < 0 || table[i].sent) continue;
    if (link_room() < sizeof event_buffer || !send_event(&table[i])) {
      unsent = true;
      return;
    }
  }
}

void events_connection_lost(void) {
  lost_at = now_ms();
  for (int i = 0; i < MAX_OUTSTANDING; i++) table[i].sent = false;
}

uint64_t events_expire(uint64_t now) {
  if (next_deadline == UINT64_MAX) return UINT64_MAX;
  if (now < next_deadline) return next_deadline - now;
  next_deadline = UINT64_MAX;
  for (int i = 0; i < MAX_OUTSTANDING; i++) {
    struct pending *p = &table[i];
    if (p->fd < 0) continue;
    if (p->deadline > now) {
      if (p->deadline < next_deadline) next_deadline = p->deadline;
      continue;
    }
    if (p->permission) {
      stats.failed++;
      // Exactly one cause: it waited for an answer, or for a connection.
      if (link_up) {
        stats.timeouts++;
      } else {
        stats.disconnected++;
      }
      respond(p->fd, by_policy(&policy.mounts[p->mount], p->identity));
    } else {
      stats.notifications_lost++;
    }
    if (p->sent && link_up) {
      struct frame f = {event_buffer, sizeof event_buffer, 0};
      frame_start(&f, M_CANCEL, 0, p->id);
      frame_finish(&f);
      link_send(&f, -1, false);
    }
    release(p);
  }
  return next_deadline == UINT64_MAX ? UINT64_MAX : next_deadline - now;
}

static struct pending *find(uint32_t id) {
  struct pending *p = &table[id & (MAX_OUTSTANDING - 1)];
  return p->fd >= 0 && p->id == id ? p : NULL;
}

void events_disposition(uint32_t id, uint8_t verdict, bool remember) {
  struct pending *p = find(id);
  if (p == NULL) return;  // answered by the failure policy meanwhile
  // last-good may use any answer; only those meant for it are repeated.
  const bool repeat = remember && settled(p->fd, p->identity);
  remember_put(p->identity, verdict, repeat);
  if (repeat && verdict == VERDICT_ALLOW && policy.kernel_cache) marks_ignore(p->fd);
  if (p->permission) {
    respond(p->fd, verdict);
    if (verdict == VERDICT_DENY) {
      stats.denied++;
    } else {
      stats.allowed++;
    }
  }
  release(p);
}

int events_fd(uint32_t id, struct stat *st) {
  struct pending *p = find(id);
  if (p == NULL || (st != NULL && fstat(p->fd, st) != 0)) return -1;
  return p->fd;
}

// Mount indices mean something else now: events of mounts that are gone are allowed, the others wait no longer than the
// new limit says.
void events_policy_changed(void) {
  const uint64_t now = now_ms();
  for (int i = 0; i < MAX_OUTSTANDING; i++) {
    struct pending *p = &table[i];
    struct stat st;
    if (p->fd < 0) continue;
    const int mount = fstat(p->fd, &st) == 0 ? mount_of(&st, p->fd) : -1;
    if (mount >= 0) {
      p->mount = (uint8_t)mount;
      const uint64_t limit = now + policy.mounts[mount].timeout_ms;
      if (p->permission && p->deadline > limit) p->deadline = limit;
      if (p->deadline < next_deadline) next_deadline = p->deadline;
      continue;
    }
    if (p->permission) {
      stats.filtered++;
      respond(p->fd, VERDICT_ALLOW);
    }
    release(p);
  }
}
