// The two fanotify groups: permission events with descriptors, and names of changed directory entries; and what is marked.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "driver.h"

#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x00000200
#endif
#ifndef FAN_REPORT_DFID_NAME
#define FAN_REPORT_DFID_NAME 0x00000c00
#endif

// Inode marks pin their inodes where the kernel cannot evict them (before 5.19): flushed when there are this many.
#define PINNED_MARKS 16384
#define IGNORABLE (FAN_OPEN_PERM | FAN_OPEN_EXEC_PERM | FAN_ACCESS_PERM)
#define CHANGES_MASK (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_ATTRIB | FAN_ONDIR)

int permission_fd = -1, changes_fd = -1;
static bool have_exec, evictable = true;
static unsigned pinned;

uint32_t marks_init(void) {
  uint32_t caps = CAP_CLOSE_WRITE | CAP_KERNEL_CACHE;
  permission_fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS,
                                O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME | O_NONBLOCK);
  if (permission_fd < 0) die("fanotify_init: %s (needs CAP_SYS_ADMIN and a kernel with CONFIG_FANOTIFY_ACCESS_PERMISSIONS)", strerror(errno));
  caps |= CAP_OPEN_PERM | CAP_ACCESS_PERM;
  // The kernel says EINVAL to event bits it does not know. A directory's own mark brings no events of the files in it, and
  // it is taken off again at once.
  have_exec = fanotify_mark(permission_fd, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM, AT_FDCWD, "/") == 0;
  fanotify_mark(permission_fd, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL);
  if (have_exec) caps |= CAP_EXEC_PERM;
  changes_fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC);
  if (changes_fd >= 0) caps |= CAP_CHANGES;
  return caps;
}

static unsigned flags_of(const struct mount *m) { return m->scope == SCOPE_FILESYSTEM ? FAN_MARK_FILESYSTEM : FAN_MARK_MOUNT; }

static uint64_t permission_mask(const struct mount *m) {
  uint64_t mask = 0;
  if (m->events & MASK_OPEN) mask |= FAN_OPEN_PERM;
  if ((m->events & MASK_OPEN_EXEC) && have_exec) mask |= FAN_OPEN_EXEC_PERM;
  if (m->events & MASK_ACCESS) mask |= FAN_ACCESS_PERM;
  if (m->events & MASK_CLOSE_WRITE) mask |= FAN_CLOSE_WRITE;
  return mask;
}

// Kernel filesystems hold no files worth judging, and this program itself reads /proc to judge.
static bool is_pseudo(long type) {
  return type == PROC_SUPER_MAGIC || type == SYSFS_MAGIC || type == CGROUP2_SUPER_MAGIC || type == CGROUP_SUPER_MAGIC || type == DEBUGFS_MAGIC ||
         type == DEVPTS_SUPER_MAGIC || type == SECURITYFS_MAGIC || type == TRACEFS_MAGIC;
}

static void mark(struct mount *m) {
  struct stat st;
  struct statfs fs;
  if (stat(m->path, &st) != 0 || statfs(m->path, &fs) != 0) {
    log_line("mount %s: %s", m->path, strerror(errno));
    return;
  }
  if (is_pseudo((long)fs.f_type)) {
    log_line("mount %s: kernel filesystems are not watched", m->path);
    return;
  }
  m->dev = st.st_dev;
  // Marks are per mount or filesystem. A directory inside one limits what is asked about, not what the kernel tells us.
  struct statx x;
  m->subtree = statx(AT_FDCWD, m->path, 0, STATX_BASIC_STATS, &x) == 0 && (x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0 &&
               (x.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0;
  memcpy(&m->fsid, &fs.f_fsid, sizeof m->fsid);
  const uint64_t mask = permission_mask(m);
  if (mask != 0 && fanotify_mark(permission_fd, FAN_MARK_ADD | flags_of(m), mask, AT_FDCWD, m->path) != 0) {
    log_line("mount %s: fanotify_mark: %s", m->path, strerror(errno));
    return;
  }
  m->marked = true;
  if ((m->events & MASK_CHANGES) && changes_fd >= 0) {
    m->fd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // Directory changes are only told per filesystem.
    if (m->fd < 0 || fanotify_mark(changes_fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, CHANGES_MASK, AT_FDCWD, m->path) != 0) {
      log_line("mount %s: no directory changes: %s", m->path, strerror(errno));
    }
  }
  log_line("mount %s: watched (%s%s)", m->path, m->scope == SCOPE_FILESYSTEM ? "filesystem" : "mount", m->subtree ? ", this directory of it" : "");
}

// What is still wanted of the filesystem that `was` is on. Several entries may share one mark: directories of a filesystem.
static uint64_t still_wanted(const struct policy *p, const struct mount *was, uint8_t *events) {
  uint64_t mask = 0;
  for (int i = 0; i < p->mount_count; i++) {
    const struct mount *m = &p->mounts[i];
    if (!m->marked || m->dev != was->dev) continue;
    *events |= m->events;
    if (m->scope == was->scope) mask |= permission_mask(m);
  }
  return mask;
}

// New marks first, then what nobody wants any more is taken off: there is no moment without a mark that both have.
void marks_apply(struct policy *next, struct policy *old) {
  for (int i = 0; i < next->mount_count; i++) mark(&next->mounts[i]);
  for (int i = 0; i < old->mount_count; i++) {
    const struct mount *was = &old->mounts[i];
    if (!was->marked) continue;
    uint8_t events = 0;
    const uint64_t gone = permission_mask(was) & ~still_wanted(next, was, &events);
    if (gone != 0) fanotify_mark(permission_fd, FAN_MARK_REMOVE | flags_of(was), gone, AT_FDCWD, was->path);
    if ((was->events & MASK_CHANGES) && !(events & MASK_CHANGES)) {
      fanotify_mark(changes_fd, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM, CHANGES_MASK, AT_FDCWD, was->path);
    }
    if (events == 0) log_line("mount %s: no longer watched", was->path);
  }
}

bool marks_ignore(int fd) {
  for (;;) {
    const unsigned flags = FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | (evictable ? FAN_MARK_EVICTABLE : 0);
    if (fanotify_mark(permission_fd, flags, IGNORABLE & ~(have_exec ? 0 : FAN_OPEN_EXEC_PERM), fd, NULL) == 0) break;
    if (errno != EINVAL || !evictable) return false;
    evictable = false;
  }
  if (!evictable && ++pinned >= PINNED_MARKS) marks_forget();
  return true;
}

void marks_unignore(int fd) {
  fanotify_mark(permission_fd, FAN_MARK_REMOVE | FAN_MARK_IGNORED_MASK, IGNORABLE & ~(have_exec ? 0 : FAN_OPEN_EXEC_PERM), fd, NULL);
}

// Inode marks only: those of mounts and filesystems stay.
void marks_forget(void) {
  fanotify_mark(permission_fd, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL);
  pinned = 0;
}

static bool below(const char *path, const char *root) {
  const size_t n = strlen(root);
  return strcmp(root, "/") == 0 || (strncmp(path, root, n) == 0 && (path[n] == 0 || path[n] == '/'));
}

// The entry with the longest path that holds it; else one that stands for its whole filesystem, however it was reached.
static int choose(bool by_fsid, uint64_t key, const char *path) {
  int found = -1, whole = -1;
  size_t longest = 0;
  for (int i = 0; i < policy.mount_count; i++) {
    const struct mount *m = &policy.mounts[i];
    if (!m->marked || (by_fsid ? m->fsid : (uint64_t)m->dev) != key) continue;
    if (path != NULL && strlen(m->path) > longest && below(path, m->path)) {
      found = i;
      longest = strlen(m->path);
    } else if (!m->subtree && whole < 0) {
      whole = i;
    }
  }
  return found >= 0 ? found : whole;
}

int mount_of(const struct stat *st, int fd) {
  int candidates = 0, only = -1;
  for (int i = 0; i < policy.mount_count; i++) {
    if (policy.mounts[i].marked && policy.mounts[i].dev == st->st_dev) {
      only = i;
      candidates++;
    }
  }
  if (candidates == 0 || (candidates == 1 && !policy.mounts[only].subtree)) return only;
  char link[32], path[MAX_PATH + 1];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, MAX_PATH);
  path[n > 0 ? n : 0] = 0;
  return choose(false, st->st_dev, n > 0 ? path : NULL);
}

int mount_of_change(uint64_t fsid, const char *path) { return choose(true, fsid, path); }
