// Answers of many frames: the entries of a directory, the lines appended to a log file. Runs in the path worker.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "jobs.h"

#define ENTRY_MAX (IDENTITY_BYTES + 16 + 1 + SHA256_BYTES + 4 + MAX_NAME + MAX_PATH)

struct stream streams[MAX_STREAMS];

void stream_free(struct stream *s) {
  if (s->fd >= 0) close(s->fd);
  free(s->path);
  pthread_mutex_lock(&walker.lock);
  *s = (struct stream){.fd = -1};
  pthread_mutex_unlock(&walker.lock);
}

void stream_start(struct job *j, uint32_t generation) {
  struct stream *s = NULL;
  const int from = j->type == M_LIST ? 0 : MAX_LISTS, to = j->type == M_LIST ? MAX_LISTS : MAX_STREAMS;
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
    job_result(j->id, status, 0, generation);
  } else if (status != 0) {
    struct frame f = job_frame(&walker, M_ENTRIES, FLAG_LAST, j->id);
    put_u32(&f, (uint32_t)status);
    job_emit(&walker, &f, -1, generation);
  }
}

struct linux_dirent64 {
  uint64_t d_ino;
  int64_t d_off;
  unsigned short d_reclen;
  unsigned char d_type;
  char d_name[];
};

static void put_entry(struct frame *f, int dir, const char *name, const struct stat *st, uint64_t hash_up_to, uint8_t *buffer) {
  uint8_t digest[SHA256_BYTES];
  char target[MAX_PATH + 1] = "";
  bool hashed = false;
  if (S_ISREG(st->st_mode) && hash_up_to > 0 && (uint64_t)st->st_size <= hash_up_to) {
    const int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
    if (fd >= 0) {
      hashed = hash_file(fd, buffer, digest) == 0;
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
void list_step(struct stream *s, uint8_t *buffer, uint32_t generation) {
  uint8_t raw[4096] __attribute__((aligned(8)));
  struct frame f = job_frame(&walker, M_ENTRIES, 0, s->id);
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
      if (fstatat(s->fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) put_entry(&f, s->fd, d->d_name, &st, s->hash_up_to, buffer);
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
  job_emit(&walker, &f, -1, generation);
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
  struct frame f = job_frame(&walker, M_LOG_DATA, 0, s->id);
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
  job_emit(&walker, &f, -1, generation);
  return true;
}

void follow_all(uint32_t generation) {
  for (int i = MAX_LISTS; i < MAX_STREAMS; i++) {
    struct stream *s = &streams[i];
    while (s->id != 0 && !s->stop && s->credit > 0 && follow_step(s, generation)) {
      pthread_mutex_lock(&walker.lock);
      s->credit--;
      pthread_mutex_unlock(&walker.lock);
    }
  }
}

void streams_init(void) {
  for (int i = 0; i < MAX_STREAMS; i++) streams[i].fd = -1;
}

void streams_close(void) {
  for (int i = 0; i < MAX_STREAMS; i++) {
    if (streams[i].id != 0) stream_free(&streams[i]);
  }
}
