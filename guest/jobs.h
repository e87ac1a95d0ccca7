// What the two worker threads and the work they do share (jobs.c, files.c, streams.c). Nothing here is for the main thread
// but where it says so.
#pragma once

#include <pthread.h>

#include "driver.h"

#define QUEUE 64
#define MAX_STREAMS (MAX_LISTS + MAX_FOLLOWS)

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

// LIST or FOLLOW. Only the path worker touches it; `credit` and `stop` are set by the main thread under its lock.
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

extern struct worker hasher, walker;
extern struct stream streams[MAX_STREAMS];

// ---- jobs.c: handing frames over. `generation` is that of the connection the work was asked on.
struct frame job_frame(struct worker *w, uint8_t type, uint8_t flags, uint32_t id);  // waits until the last one is gone
void job_emit(struct worker *w, struct frame *f, int fd, uint32_t generation);        // `fd` goes along, -1: none
void job_result(uint32_t id, int status, uint32_t file, uint32_t generation);

// ---- files.c: files by descriptor, handle and path
int hash_file(int fd, uint8_t *buffer, uint8_t digest[SHA256_BYTES]);
void do_hash(struct worker *w, uint8_t *buffer, uint32_t id, int fd, uint32_t generation);
void do_read(struct worker *w, uint32_t id, int fd, uint64_t offset, uint32_t length, uint32_t generation);
void files_init(void);
void files_close(void);                                          // the connection is gone
void files_do(struct job *j, uint8_t *buffer, uint32_t generation);  // OPEN to COMMIT

// ---- streams.c: LIST and FOLLOW
void streams_init(void);
void streams_close(void);
void stream_start(struct job *j, uint32_t generation);
void stream_free(struct stream *s);
void list_step(struct stream *s, uint8_t *buffer, uint32_t generation);
void follow_all(uint32_t generation);
