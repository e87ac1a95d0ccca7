// Two worker threads, so that the main thread never waits for a disk or opens a file: one hashes and reads files of
// events, the other does all work by path (opening raises events of this process, which the main thread lets pass).
// A worker hands over one frame at a time and waits until the main thread has taken it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "jobs.h"

#define MAX_QUEUED_WRITES 4
#define FOLLOW_POLL_MS 200
#define STACK_BYTES (128 * 1024)

int jobs_event_fd = -1;
struct worker hasher, walker;
static uint8_t hash_buffer[MAX_CHUNK], walk_buffer[MAX_CHUNK];
static uint32_t connection;  // generation; changed under both locks

static void job_free(struct job *j) {
  free(j->path);
  free(j->data);
  if (j->fd >= 0) close(j->fd);
}

// ---- hand-over

void job_emit(struct worker *w, struct frame *f, int fd, uint32_t generation) {
  frame_finish(f);
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
struct frame job_frame(struct worker *w, uint8_t type, uint8_t flags, uint32_t id) {
  pthread_mutex_lock(&w->lock);
  while (w->full) pthread_cond_wait(&w->taken, &w->lock);
  pthread_mutex_unlock(&w->lock);
  struct frame f = {w->frame, sizeof w->frame, 0};
  frame_start(&f, type, flags, id);
  return f;
}

void job_result(uint32_t id, int status, uint32_t file, uint32_t generation) {
  struct frame f = job_frame(&walker, M_RESULT, 0, id);
  put_u32(&f, (uint32_t)status);
  put_u32(&f, file);
  job_emit(&walker, &f, -1, generation);
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

static struct stream *runnable(unsigned *turn, bool *again) {
  for (unsigned i = 0; i < MAX_STREAMS; i++) {
    struct stream *s = &streams[(*turn + i) % MAX_STREAMS];
    if (s->id == 0) continue;
    if (s->type == M_FOLLOW) *again = true;
    if (s->stop || (s->type == M_LIST && s->credit > 0)) {
      *turn = (unsigned)(s - streams) + 1;
      return s;
    }
  }
  return NULL;
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
    if (reset) {
      files_close();
      streams_close();
    }
    if (have) {
      if (j.type == M_LIST || j.type == M_FOLLOW) stream_start(&j, generation);
      else files_do(&j, walk_buffer, generation);
      job_free(&j);
    } else if (!reset && s != NULL) {
      if (s->stop) stream_free(s);
      else list_step(s, walk_buffer, generation);
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
  files_init();
  streams_init();
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
  for (int i = 0; i < MAX_STREAMS; i++) {
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
