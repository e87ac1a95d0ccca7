// Work on files by descriptor, handle and path: reading, hashing, removing, restoring. Runs in the workers.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "jobs.h"

static struct opened files[MAX_OPEN_FILES];
static uint32_t file_serial;

int hash_file(int fd, uint8_t *buffer, uint8_t digest[SHA256_BYTES]) {
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

void do_hash(struct worker *w, uint8_t *buffer, uint32_t id, int fd, uint32_t generation) {
  uint8_t digest[SHA256_BYTES] = {0}, identity[IDENTITY_BYTES] = {0};
  struct stat st;
  int status = fd < 0 ? EBADF : hash_file(fd, buffer, digest);
  if (status == 0 && fstat(fd, &st) == 0) identity_of(&st, identity);
  struct frame f = job_frame(w, M_DIGEST, 0, id);
  put_u32(&f, (uint32_t)status);
  put_bytes(&f, identity, sizeof identity);
  put_bytes(&f, digest, sizeof digest);
  job_emit(w, &f, -1, generation);
}

void do_read(struct worker *w, uint32_t id, int fd, uint64_t offset, uint32_t length, uint32_t generation) {
  struct frame f = job_frame(w, M_DATA, 0, id);
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
  job_emit(w, &f, -1, generation);
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
  struct frame f = job_frame(&walker, M_OPENED, copy >= 0 ? FLAG_DESCRIPTOR : 0, j->id);
  put_u32(&f, (uint32_t)status);
  put_u32(&f, handle);
  put_meta(&f, &st);
  job_emit(&walker, &f, copy, generation);
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
  job_result(j->id, status, 0, generation);
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
  job_result(j->id, status, status == 0 ? handle : 0, generation);
}

static void do_write(const struct job *j, uint32_t generation) {
  struct opened *o = file_of(j->file);
  int status = o == NULL || !o->creating ? EBADF : 0;
  for (uint32_t at = 0; status == 0 && at < j->length;) {
    const ssize_t n = pwrite(o->fd, j->data + at, j->length - at, (off_t)(j->offset + at));
    if (n < 0) status = errno;
    else at += (uint32_t)n;
  }
  job_result(j->id, status, j->file, generation);
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
  job_result(j->id, status, j->file, generation);
}

void files_init(void) {
  for (int i = 0; i < MAX_OPEN_FILES; i++) files[i].fd = -1;
}

void files_close(void) {
  for (int i = 0; i < MAX_OPEN_FILES; i++) {
    if (files[i].fd >= 0) file_close(&files[i]);
  }
}

void files_do(struct job *j, uint8_t *buffer, uint32_t generation) {
  struct opened *o = file_of(j->file);
  switch (j->type) {
    case M_OPEN: do_open(j, generation); break;
    case M_CLOSE:
      if (o != NULL) file_close(o);
      job_result(j->id, o == NULL ? EBADF : 0, j->file, generation);
      break;
    case M_READ: do_read(&walker, j->id, o == NULL ? -1 : o->fd, j->offset, j->length, generation); break;
    case M_HASH: do_hash(&walker, buffer, j->id, o == NULL ? -1 : o->fd, generation); break;
    case M_REMOVE: do_remove(j, generation); break;
    case M_CREATE: do_create(j, generation); break;
    case M_WRITE: do_write(j, generation); break;
    case M_COMMIT: do_commit(j, generation); break;
    default: break;
  }
}
