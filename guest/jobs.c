// Two worker threads, so that the main thread never waits for a disk or opens a file: one hashes and reads files of
// events, the other does all work by path (opening raises events of this process, which the main thread lets pass).
// A worker hands over one frame at a time and waits until the main thread has taken it.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

#define QUEUE 64
#define MAX_QUEUED_WRITES 4
#define FOLLOW_POLL_MS 200
#define STACK_BYTES (128 * 1024)
#define ENTRY_MAX (IDENTITY_BYTES + 16 + 1 + SHA256_BYTES + 4 + MAX_NAME + MAX_PATH)

struct job {
  uint8_t type;
  uint32_t id, file, length, mode, uid, gid;
  uint64_t offset;
  int64_t mtime_ns;
  int fd;
  bool from_end;
  char *path;
  uint8_t *data;
  uint8_t identity[IDENTITY_BYTES];
};

struct worker {
  pthread_mutex_t lock;
  pthread_cond_t work, taken;
  struct job queue[QUEUE];
  unsigned head, count, writes;
  // The frame to hand over; `generation` is that of the connection it belongs to.
  uint8_t frame[MAX_FRAME];
  size_t length;
  int fd;
  uint32_t generation;
  bool full;
};

// Only the path worker touches these; `credit` and `stop` are set by the main thread under the lock.
struct stream {
  uint32_t id;  // 0: free
  uint8_t type;
  int fd;
  unsigned credit;
  bool stop, rotated;
  uint64_t offset, hash_up_to;
  char *path;
  struct stat st;
};
struct opened {
  int fd;  // -1: free
  bool creating;
  char *path, *temporary;
  uint32_t mode, uid, gid;
  int64_t mtime_ns;
};

int jobs_event_fd = -1;
static struct worker hasher, walker;
static struct stream streams[MAX_LISTS + MAX_FOLLOWS];
static struct opened files[MAX_OPEN_FILES];
static uint32_t file_serial;
static uint8_t hash_buffer[MAX_CHUNK], walk_buffer[MAX_CHUNK];
static uint32_t connection;  // generation; changed under both locks

static void job_free(struct job *j) {
  free(j->path);
  free(j->data);
  if (j->fd >= 0) close(j->fd);
}

// ---- hand-over

static void emit(struct worker *w, const struct frame *f, int fd, uint32_t generation) {
  const uint64_t one = 1;
  pthread_mutex_lock(&w->lock);
  while (w->full && generation == connection) pthread_cond_wait(&w->taken, &w->lock);
  if (generation == connection) {
    // `f` is w->frame itself: it was free while it was built, since only this thread fills it.
    w->length = f->length;
    w->fd = fd;
    w->generation = generation;
    w->full = true;
    fd = -1;
  }
  pthread_mutex_unlock(&w->lock);
  if (fd >= 0) close(fd);
  if (write(jobs_event_fd, &one, sizeof one) < 0) log_line("eventfd: %s", strerror(errno));
}

// Begins a frame in the hand-over buffer, once the last one is gone.
static struct frame begin(struct worker *w, uint8_t type, uint8_t flags, uint32_t id) {
  pthread_mutex_lock(&w->lock);
  while (w->full) pthread_cond_wait(&w->taken, &w->lock);
  pthread_mutex_unlock(&w->lock);
  struct frame f = {w->frame, sizeof w->frame, 0};
  frame_start(&f, type, flags, id);
  return f;
}

static void finish(struct worker *w, struct frame *f, int fd, uint32_t generation) {
  frame_finish(f);
  emit(w, f, fd, generation);
}

static void result(uint32_t id, int status, uint32_t file, uint32_t generation) {
  struct frame f = begin(&walker, M_RESULT, 0, id);
  put_u32(&f, (uint32_t)status);
  put_u32(&f, file);
  finish(&walker, &f, -1, generation);
}

void jobs_collect(void) {
  uint64_t count;
  struct worker *both[] = {&hasher, &walker};
  if (read(jobs_event_fd, &count, sizeof count) < 0 && errno != EAGAIN) log_line("eventfd: %s", strerror(errno));
  for (int i = 0; i < 2; i++) {
    struct worker *w = both[i];
    pthread_mutex_lock(&w->lock);
    if (w->full) {
      const struct frame f = {w->frame, sizeof w->frame, w->length};
      const bool stale = w->generation != connection || !link_up;
      if (stale && w->fd >= 0) close(w->fd);
      if (stale || link_room() >= w->length) {
        if (!stale) link_send(&f, w->fd, true);
        w->full = false;
        pthread_cond_signal(&w->taken);
      }
    }
    pthread_mutex_unlock(&w->lock);
  }
}

// ---- work

static int hash_file(int fd, uint8_t *buffer, uint8_t digest[SHA256_BYTES]) {
  struct sha256 s;
  sha256_init(&s);
  for (off_t at = 0;;) {
    const ssize_t n = pread(fd, buffer, MAX_CHUNK, at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) break;
    sha256_update(&s, buffer, (size_t)n);
    at += n;
  }
  sha256_final(&s, digest);
  return 0;
}

static void do_hash(struct worker *w, uint8_t *buffer, uint32_t id, int fd, uint32_t generation) {
  uint8_t digest[SHA256_BYTES] = {0}, identity[IDENTITY_BYTES] = {0};
  struct stat st;
  int status = fd < 0 ? EBADF : hash_file(fd, buffer, digest);
  if (status == 0 && fstat(fd, &st) == 0) identity_of(&st, identity);
  struct frame f = begin(w, M_DIGEST, 0, id);
  put_u32(&f, (uint32_t)status);
  put_bytes(&f, identity, sizeof identity);
  put_bytes(&f, digest, sizeof digest);
  finish(w, &f, -1, generation);
}

static void do_read(struct worker *w, uint32_t id, int fd, uint64_t offset, uint32_t length, uint32_t generation) {
  struct frame f = begin(w, M_DATA, 0, id);
  put_u32(&f, 0);
  const ssize_t n = fd < 0 ? -1 : pread(fd, f.buf + f.length, length, (off_t)offset);
  if (n < 0) {
    const int why = fd < 0 ? EBADF : errno;
    f.length = HEADER_BYTES;
    put_u32(&f, (uint32_t)why);
  } else {
    f.length += (size_t)n;
    __atomic_add_fetch(&stats.bytes_read, (uint64_t)n, __ATOMIC_RELAXED);
  }
  finish(w, &f, -1, generation);
}

static struct opened *file_of(uint32_t handle) {
  struct opened *o = &files[handle & (MAX_OPEN_FILES - 1)];
  return (handle & HANDLE_BIT) != 0 && o->fd >= 0 ? o : NULL;
}

static struct opened *file_place(uint32_t *handle) {
  for (uint32_t i = 0; i < MAX_OPEN_FILES; i++) {
    if (files[i].fd < 0) {
      *handle = HANDLE_BIT | (++file_serial << 6 & 0x7fffffc0) | i;
      return &files[i];
    }
  }
  return NULL;
}

static void file_close(struct opened *o) {
  close(o->fd);
  if (o->temporary != NULL) unlink(o->temporary);
  free(o->path);
  free(o->temporary);
  *o = (struct opened){.fd = -1};
}

static void do_open(struct job *j, uint32_t generation) {
  struct stat st = {0};
  uint32_t handle = 0;
  int status = 0, copy = -1;
  struct opened *o = file_place(&handle);
  // O_NONBLOCK: a FIFO of that name must not hold this thread.
  const int fd = o == NULL ? -1 : open(j->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (o == NULL) {
    status = EMFILE;
  } else if (fd < 0 || fstat(fd, &st) != 0) {
    status = errno;
  } else if (!S_ISREG(st.st_mode)) {
    status = EINVAL;
  }
  if (status != 0) {
    if (fd >= 0) close(fd);
    handle = 0;
  } else {
    *o = (struct opened){.fd = fd};
    if (policy.pass_descriptors) copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  }
  struct frame f = begin(&walker, M_OPENED, copy >= 0 ? FLAG_DESCRIPTOR : 0, j->id);
  put_u32(&f, (uint32_t)status);
  put_u32(&f, handle);
  put_meta(&f, &st);
  finish(&walker, &f, copy, generation);
}

// Splits off the last name; the directory is opened without raising an event.
static int open_parent(const char *path, const char **name) {
  char dir[MAX_PATH + 1];
  const char *slash = strrchr(path, '/');
  if (slash == NULL || slash[1] == 0) {
    errno = EINVAL;
    return -1;
  }
  *name = slash + 1;
  const size_t n = slash == path ? 1 : (size_t)(slash - path);
  memcpy(dir, path, n);
  dir[n] = 0;
  return open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void do_remove(const struct job *j, uint32_t generation) {
  struct stat st;
  uint8_t is[IDENTITY_BYTES];
  const char *name;
  int status = 0;
  const int dir = remediation_allowed ? open_parent(j->path, &name) : (errno = EPERM, -1);
  if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
    status = errno;
  } else {
    identity_of(&st, is);
    // Device and inode only: marking a file must not save it from removal.
    if (memcmp(is, j->identity, 16) != 0) status = ESTALE;
    else if (unlinkat(dir, name, 0) != 0) status = errno;
  }
  if (dir >= 0) close(dir);
  result(j->id, status, 0, generation);
}

static void do_create(struct job *j, uint32_t generation) {
  uint32_t handle = 0;
  const char *name;
  int status = 0, fd = -1;
  char temporary[MAX_PATH + 1] = "";
  struct opened *o = file_place(&handle);
  const int dir = o == NULL ? (errno = EMFILE, -1) : remediation_allowed ? open_parent(j->path, &name) : (errno = EPERM, -1);
  if (dir >= 0) {
    fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
      snprintf(temporary, sizeof temporary, "%.*s/.drawbridge-%u-%u", (int)(name - 1 - j->path), j->path, (unsigned)own_pid, j->id);
      fd = open(temporary, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0600);
    }
  }
  if (fd < 0) status = errno;
  if (dir >= 0) close(dir);
  if (status == 0) {
    *o = (struct opened){.fd = fd, .creating = true, .path = j->path, .mode = j->mode, .uid = j->uid, .gid = j->gid, .mtime_ns = j->mtime_ns};
    o->temporary = temporary[0] == 0 ? NULL : strdup(temporary);
    j->path = NULL;
  }
  result(j->id, status, status == 0 ? handle : 0, generation);
}

static void do_write(const struct job *j, uint32_t generation) {
  struct opened *o = file_of(j->file);
  int status = o == NULL || !o->creating ? EBADF : 0;
  for (uint32_t at = 0; status == 0 && at < j->length;) {
    const ssize_t n = pwrite(o->fd, j->data + at, j->length - at, (off_t)(j->offset + at));
    if (n < 0) status = errno;
    else at += (uint32_t)n;
  }
  result(j->id, status, j->file, generation);
}

static void do_commit(const struct job *j, uint32_t generation) {
  struct opened *o = file_of(j->file);
  int status = o == NULL || !o->creating ? EBADF : 0;
  if (status == 0) {
    char link[32];
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = o->mtime_ns / 1000000000, .tv_nsec = o->mtime_ns % 1000000000}};
    if (times[1].tv_nsec < 0) {
      times[1].tv_nsec += 1000000000;
      times[1].tv_sec--;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", o->fd);
    // Owner before mode: a change of owner clears set-user-id. Only then a name: nothing half restored is ever seen.
    if (fchown(o->fd, o->uid, o->gid) != 0 || fchmod(o->fd, o->mode & 07777) != 0 || futimens(o->fd, times) != 0) {
      status = errno;
    } else if (o->temporary == NULL) {
      if (linkat(AT_FDCWD, link, AT_FDCWD, o->path, AT_SYMLINK_FOLLOW) != 0) status = errno;
    } else if (syscall(SYS_renameat2, AT_FDCWD, o->temporary, AT_FDCWD, o->path, 1 /* RENAME_NOREPLACE */) != 0) {
      status = errno;
    } else {
      free(o->temporary);
      o->temporary = NULL;
    }
    file_close(o);
  }
  result(j->id, status, j->file, generation);
}

// ---- streams: LIST and FOLLOW

static void stream_free(struct stream *s) {
  if (s->fd >= 0) close(s->fd);
  free(s->path);
  pthread_mutex_lock(&walker.lock);
  *s = (struct stream){.fd = -1};
  pthread_mutex_unlock(&walker.lock);
}

static void stream_start(struct job *j, uint32_t generation) {
  struct stream *s = NULL;
  const int from = j->type == M_LIST ? 0 : MAX_LISTS, to = j->type == M_LIST ? MAX_LISTS : MAX_LISTS + MAX_FOLLOWS;
  for (int i = from; i < to && s == NULL; i++) {
    if (streams[i].id == 0) s = &streams[i];
  }
  int fd = -1, status = s == NULL ? EMFILE : 0;
  if (status == 0 && j->type == M_LIST) {
    fd = open(j->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) status = errno;
  }
  if (status == 0) {
    pthread_mutex_lock(&walker.lock);
    *s = (struct stream){.id = j->id, .type = j->type, .fd = fd, .credit = STREAM_WINDOW, .offset = j->offset, .hash_up_to = j->offset, .path = j->path};
    s->rotated = j->from_end;  // until the file is opened: start at its end
    pthread_mutex_unlock(&walker.lock);
    j->path = NULL;
  }
  if (j->type == M_FOLLOW) {
    result(j->id, status, 0, generation);
  } else if (status != 0) {
    struct frame f = begin(&walker, M_ENTRIES, FLAG_LAST, j->id);
    put_u32(&f, (uint32_t)status);
    finish(&walker, &f, -1, generation);
  }
}

struct linux_dirent64 {
  uint64_t d_ino;
  int64_t d_off;
  unsigned short d_reclen;
  unsigned char d_type;
  char d_name[];
};

static void put_entry(struct frame *f, int dir, const char *name, const struct stat *st, uint64_t hash_up_to) {
  uint8_t digest[SHA256_BYTES];
  char target[MAX_PATH + 1] = "";
  bool hashed = false;
  if (S_ISREG(st->st_mode) && hash_up_to > 0 && (uint64_t)st->st_size <= hash_up_to) {
    const int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
    if (fd >= 0) {
      hashed = hash_file(fd, walk_buffer, digest) == 0;
      close(fd);
    }
  } else if (S_ISLNK(st->st_mode)) {
    const ssize_t n = readlinkat(dir, name, target, MAX_PATH);
    target[n > 0 ? n : 0] = 0;
  }
  put_meta(f, st);
  put_u8(f, hashed);
  if (hashed) put_bytes(f, digest, sizeof digest);
  put_text(f, name, MAX_NAME);
  put_text(f, target, MAX_PATH);
}

// One frame of a directory. The position is kept in the directory's own offset: an idle LIST costs a descriptor.
static void list_step(struct stream *s, uint32_t generation) {
  uint8_t raw[4096] __attribute__((aligned(8)));
  struct frame f = begin(&walker, M_ENTRIES, 0, s->id);
  put_u32(&f, 0);
  long n = 0;
  bool room = true;
  // A frame is sent when it is full, or big enough to be worth it: hashing large files must not hold the small ones back.
  while (room && (n = syscall(SYS_getdents64, s->fd, raw, sizeof raw)) > 0) {
    int64_t resume = -1;
    for (long at = 0; at < n && room;) {
      const struct linux_dirent64 *d = (const void *)(raw + at);
      struct stat st;
      at += d->d_reclen;
      if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) {
        resume = d->d_off;
        continue;
      }
      if (fstatat(s->fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) put_entry(&f, s->fd, d->d_name, &st, s->hash_up_to);
      resume = d->d_off;
      room = f.capacity - f.length >= ENTRY_MAX && f.length < MAX_CHUNK / 2;
      if (!room && at < n) lseek(s->fd, resume, SEEK_SET);
    }
  }
  const bool last = n <= 0;
  if (n < 0) {
    const uint32_t why = __builtin_bswap32((uint32_t)errno);
    memcpy(f.buf + HEADER_BYTES, &why, 4);
  }
  f.buf[5] = last ? FLAG_LAST : 0;
  finish(&walker, &f, -1, generation);
  if (last) stream_free(s);
}

static bool log_open(struct stream *s) {
  s->fd = open(s->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (s->fd < 0) return false;
  if (fstat(s->fd, &s->st) == 0 && S_ISREG(s->st.st_mode)) return true;
  close(s->fd);
  s->fd = -1;
  return false;
}

// One frame of a log file, or false when there is nothing new. A file that does not exist yet is waited for.
static bool follow_step(struct stream *s, uint32_t generation) {
  bool fresh = false;
  if (s->fd < 0) {
    if (!log_open(s)) return false;
    if (s->rotated) s->offset = (uint64_t)s->st.st_size;
    s->rotated = false;
    if (s->offset > (uint64_t)s->st.st_size) s->offset = 0;
  }
  if (fstat(s->fd, &s->st) != 0) return false;
  if ((uint64_t)s->st.st_size < s->offset) {
    s->offset = 0;
    fresh = true;
  }
  if ((uint64_t)s->st.st_size == s->offset) {
    struct stat now;
    // All of the old file was told; has another one taken its name?
    if (stat(s->path, &now) != 0 || (now.st_ino == s->st.st_ino && now.st_dev == s->st.st_dev)) return false;
    const int before = s->fd;
    if (!log_open(s)) {
      s->fd = before;
      return false;
    }
    close(before);
    s->offset = 0;
    fresh = true;
    if (s->st.st_size == 0) {
      // Told with the first bytes: until then the old position stays recognisable as wrong by the new identity.
      return false;
    }
  }
  struct frame f = begin(&walker, M_LOG_DATA, 0, s->id);
  uint8_t identity[IDENTITY_BYTES];
  identity_of(&s->st, identity);
  put_u32(&f, 0);
  put_u64(&f, s->offset);
  put_u8(&f, fresh);
  put_bytes(&f, identity, sizeof identity);
  const ssize_t n = pread(s->fd, f.buf + f.length, MAX_CHUNK < f.capacity - f.length ? MAX_CHUNK : f.capacity - f.length, (off_t)s->offset);
  if (n <= 0) return false;
  f.length += (size_t)n;
  s->offset += (uint64_t)n;
  finish(&walker, &f, -1, generation);
  return true;
}

// ---- the threads

static bool take_job(struct worker *w, struct job *j) {
  if (w->count == 0) return false;
  *j = w->queue[w->head];
  w->head = (w->head + 1) % QUEUE;
  w->count--;
  if (j->type == M_WRITE) w->writes--;
  return true;
}

static void *hash_thread(void *unused) {
  (void)unused;
  for (;;) {
    struct job j;
    pthread_mutex_lock(&hasher.lock);
    while (!take_job(&hasher, &j)) pthread_cond_wait(&hasher.work, &hasher.lock);
    const uint32_t generation = connection;
    pthread_mutex_unlock(&hasher.lock);
    if (j.type == M_HASH) do_hash(&hasher, hash_buffer, j.id, j.fd, generation);
    else do_read(&hasher, j.id, j.fd, j.offset, j.length, generation);
    job_free(&j);
  }
  return NULL;
}

static void do_path_job(struct job *j, uint32_t generation) {
  struct opened *o;
  switch (j->type) {
    case M_OPEN: do_open(j, generation); break;
    case M_CLOSE:
      o = file_of(j->file);
      if (o != NULL) file_close(o);
      result(j->id, o == NULL ? EBADF : 0, j->file, generation);
      break;
    case M_READ:
      o = file_of(j->file);
      do_read(&walker, j->id, o == NULL ? -1 : o->fd, j->offset, j->length, generation);
      break;
    case M_HASH:
      o = file_of(j->file);
      do_hash(&walker, walk_buffer, j->id, o == NULL ? -1 : o->fd, generation);
      break;
    case M_REMOVE: do_remove(j, generation); break;
    case M_CREATE: do_create(j, generation); break;
    case M_WRITE: do_write(j, generation); break;
    case M_COMMIT: do_commit(j, generation); break;
    case M_LIST: case M_FOLLOW: stream_start(j, generation); break;
    default: break;
  }
}

static void reset_path_work(void) {
  for (int i = 0; i < MAX_LISTS + MAX_FOLLOWS; i++) {
    if (streams[i].id != 0) stream_free(&streams[i]);
  }
  for (int i = 0; i < MAX_OPEN_FILES; i++) {
    if (files[i].fd >= 0) file_close(&files[i]);
  }
}

// Next stream with credit, in turn; `again` is set when some log file is to be looked at later.
static struct stream *runnable(unsigned *turn, bool *again) {
  for (unsigned i = 0; i < MAX_LISTS + MAX_FOLLOWS; i++) {
    struct stream *s = &streams[(*turn + i) % (MAX_LISTS + MAX_FOLLOWS)];
    if (s->id == 0) continue;
    if (s->type == M_FOLLOW) *again = true;
    if (s->stop || (s->type == M_LIST && s->credit > 0)) {
      *turn = (unsigned)(s - streams) + 1;
      return s;
    }
  }
  return NULL;
}

static void follow_all(uint32_t generation) {
  for (int i = MAX_LISTS; i < MAX_LISTS + MAX_FOLLOWS; i++) {
    struct stream *s = &streams[i];
    while (s->id != 0 && !s->stop && s->credit > 0 && follow_step(s, generation)) {
      pthread_mutex_lock(&walker.lock);
      s->credit--;
      pthread_mutex_unlock(&walker.lock);
    }
  }
}

static void *walk_thread(void *unused) {
  (void)unused;
  uint32_t generation = 0;
  unsigned turn = 0;
  uint64_t next_poll = 0;
  for (;;) {
    struct job j;
    struct stream *s = NULL;
    pthread_mutex_lock(&walker.lock);
    bool have = false, again = false;
    while (generation == connection && !(have = take_job(&walker, &j)) && (s = runnable(&turn, &again)) == NULL) {
      if (!again) {
        pthread_cond_wait(&walker.work, &walker.lock);
        continue;
      }
      struct timespec until;
      clock_gettime(CLOCK_MONOTONIC, &until);
      if (now_ms() >= next_poll) break;
      until.tv_nsec += FOLLOW_POLL_MS * 1000000l;
      until.tv_sec += until.tv_nsec / 1000000000;
      until.tv_nsec %= 1000000000;
      pthread_cond_timedwait(&walker.work, &walker.lock, &until);
      again = false;
    }
    const bool reset = generation != connection;
    generation = connection;
    if (s != NULL && !s->stop) s->credit--;
    pthread_mutex_unlock(&walker.lock);
    if (reset) reset_path_work();
    if (have) {
      do_path_job(&j, generation);
      job_free(&j);
    } else if (!reset && s != NULL) {
      if (s->stop) stream_free(s);
      else list_step(s, generation);
    }
    if (now_ms() >= next_poll) {
      follow_all(generation);
      next_poll = now_ms() + FOLLOW_POLL_MS;
    }
  }
  return NULL;
}

static void worker_init(struct worker *w, void *(*run)(void *)) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_condattr_t clock;
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->work, &clock);
  pthread_cond_init(&w->taken, &clock);
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  w->fd = -1;
  if (pthread_create(&thread, &attributes, run, NULL) != 0) die("cannot start a thread");
}

void jobs_init(void) {
  jobs_event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (jobs_event_fd < 0) die("eventfd: %s", strerror(errno));
  for (int i = 0; i < MAX_OPEN_FILES; i++) files[i].fd = -1;
  for (int i = 0; i < MAX_LISTS + MAX_FOLLOWS; i++) streams[i].fd = -1;
  worker_init(&hasher, hash_thread);
  worker_init(&walker, walk_thread);
}

static bool enqueue(struct worker *w, const struct job *j) {
  pthread_mutex_lock(&w->lock);
  const bool room = w->count < QUEUE && !(j->type == M_WRITE && w->writes >= MAX_QUEUED_WRITES);
  if (room) {
    w->queue[(w->head + w->count++) % QUEUE] = *j;
    if (j->type == M_WRITE) w->writes++;
    pthread_cond_signal(&w->work);
  }
  pthread_mutex_unlock(&w->lock);
  return room;
}

static bool enqueue_or_free(struct worker *w, struct job *j) {
  if (enqueue(w, j)) return true;
  job_free(j);
  return false;
}

bool jobs_hash(uint32_t id, int fd) {
  struct job j = {.type = M_HASH, .id = id, .fd = fd};
  return enqueue_or_free(&hasher, &j);
}

bool jobs_read(uint32_t id, int fd, uint64_t offset, uint32_t length) {
  struct job j = {.type = M_READ, .id = id, .fd = fd, .offset = offset, .length = length};
  return enqueue_or_free(&hasher, &j);
}

bool jobs_path(uint8_t type, uint32_t id, struct reader *r) {
  char path[MAX_PATH + 1];
  struct job j = {.type = type, .id = id, .fd = -1};
  if (type == M_OPEN || type == M_LIST || type == M_FOLLOW || type == M_REMOVE || type == M_CREATE) {
    get_text(r, path, MAX_PATH);
    if (path[0] != '/') r->bad = true;
    j.path = r->bad ? NULL : strdup(path);
  }
  switch (type) {
    case M_LIST: j.offset = get_u64(r); break;
    case M_FOLLOW:
      j.from_end = get_u8(r);
      j.offset = get_u64(r);
      break;
    case M_REMOVE: memcpy(j.identity, get_bytes(r, IDENTITY_BYTES), IDENTITY_BYTES); break;
    case M_CREATE:
      j.mode = get_u32(r);
      j.uid = get_u32(r);
      j.gid = get_u32(r);
      j.mtime_ns = (int64_t)get_u64(r);
      break;
    case M_READ:
    case M_WRITE:
      j.file = get_u32(r);
      j.offset = get_u64(r);
      j.length = type == M_READ ? get_u32(r) : (uint32_t)(r->end - r->at);
      if (type == M_READ) break;
      if (!r->bad && j.length > 0) j.data = malloc(j.length);
      if (j.data != NULL) memcpy(j.data, get_bytes(r, j.length), j.length);
      else if (j.length > 0) r->bad = true;
      break;
    case M_CLOSE: case M_HASH: case M_COMMIT: j.file = get_u32(r); break;
    default: break;
  }
  if (r->bad || (j.type == M_READ && (j.length < 1 || j.length > MAX_CHUNK))) {
    job_free(&j);
    return false;
  }
  return enqueue_or_free(&walker, &j);
}

static struct stream *stream_of(uint32_t id) {
  for (int i = 0; i < MAX_LISTS + MAX_FOLLOWS; i++) {
    if (streams[i].id == id && id != 0) return &streams[i];
  }
  return NULL;
}

void jobs_more(uint32_t id, uint16_t count) {
  pthread_mutex_lock(&walker.lock);
  struct stream *s = stream_of(id);
  if (s != NULL) s->credit = s->credit + count > STREAM_WINDOW ? STREAM_WINDOW : s->credit + count;
  pthread_cond_signal(&walker.work);
  pthread_mutex_unlock(&walker.lock);
}

void jobs_stop(uint32_t id) {
  pthread_mutex_lock(&walker.lock);
  struct stream *s = stream_of(id);
  if (s != NULL) s->stop = true;
  pthread_cond_signal(&walker.work);
  pthread_mutex_unlock(&walker.lock);
}

void jobs_reset(void) {
  struct worker *both[] = {&hasher, &walker};
  pthread_mutex_lock(&hasher.lock);
  pthread_mutex_lock(&walker.lock);
  connection++;
  for (int i = 0; i < 2; i++) {
    struct job j;
    while (take_job(both[i], &j)) job_free(&j);
    if (both[i]->full && both[i]->fd >= 0) close(both[i]->fd);
    both[i]->full = false;
    pthread_cond_signal(&both[i]->taken);
    pthread_cond_signal(&both[i]->work);
  }
  pthread_mutex_unlock(&walker.lock);
  pthread_mutex_unlock(&hasher.lock);
}
