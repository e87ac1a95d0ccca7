// What the parts of the driver share. One main thread owns every structure here but the jobs' own (jobs.c); it never
// opens a file on a marked mount, so that it never waits for itself.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "protocol.h"

#define DRIVER_VERSION "0.1.0"

// ---- log.c: lines on standard error, nothing else ever is written there
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

// ---- clock
uint64_t now_ms(void);  // monotonic
uint64_t now_us(void);

// ---- sha256.c
struct sha256 {
  uint32_t h[8];
  uint64_t length;
  uint8_t block[64];
};
void sha256_init(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *data, size_t n);
void sha256_final(struct sha256 *s, uint8_t out[SHA256_BYTES]);
void hmac_sha256(const char *key, const struct iovec *parts, int count, uint8_t out[SHA256_BYTES]);

// ---- wire.c: building and reading frames
struct frame {  // a frame being built in memory of the caller
  uint8_t *buf;
  size_t capacity, length;
};
void frame_start(struct frame *f, uint8_t type, uint8_t flags, uint32_t id);
void put_u8(struct frame *f, uint8_t v);
void put_u16(struct frame *f, uint16_t v);
void put_u32(struct frame *f, uint32_t v);
void put_u64(struct frame *f, uint64_t v);
void put_bytes(struct frame *f, const void *data, size_t n);
void put_text(struct frame *f, const char *text, size_t limit);
void put_meta(struct frame *f, const struct stat *st);
void frame_finish(struct frame *f);

struct reader {  // what is left of a frame; `bad` once a field did not fit
  const uint8_t *at, *end;
  bool bad;
};
uint8_t get_u8(struct reader *r);
uint16_t get_u16(struct reader *r);
uint32_t get_u32(struct reader *r);
uint64_t get_u64(struct reader *r);
const uint8_t *get_bytes(struct reader *r, size_t n);
// Copies text into `out` (size limit + 1) with a final NUL.
void get_text(struct reader *r, char *out, size_t limit);

void identity_of(const struct stat *st, uint8_t out[IDENTITY_BYTES]);

// ---- filters.c
struct filter {
  uint8_t kind;
  uint32_t uid;
  char *value;
};
struct process_info {
  uint32_t pid, uid;
  char image[MAX_PATH + 1];
};
void process_lookup(pid_t pid, struct process_info *out);
bool pattern_matches(const char *pattern, const char *path);
// Name of the file type that the first bytes tell.
const char *file_type(const uint8_t *head, size_t n);

// ---- policy
struct mount {
  char *path;
  uint8_t scope, events, failure;
  uint32_t timeout_ms;
  uint64_t max_size;
  dev_t dev;
  int fd;          // of the mount point, for handles of changed directories; -1 without
  uint64_t fsid;
  bool marked;
  bool subtree;    // a directory inside a mount: only what is below it
};
struct policy {
  uint32_t epoch, heartbeat_ms;
  uint32_t max_outstanding;
  bool pass_descriptors, kernel_cache;
  int mount_count, filter_count;
  bool by_path, by_process, by_user, by_type;  // which lookups the filters need
  struct mount mounts[MAX_MOUNTS];
  struct filter filters[MAX_FILTERS];
};
extern struct policy policy;
void policy_free(struct policy *p);

// ---- remember.c: dispositions by identity
void remember_init(void);
void remember_put(const uint8_t identity[IDENTITY_BYTES], uint8_t verdict, bool repeat);
// VERDICT_* or 0. `repeat_only`: only those the appliance allowed to repeat.
uint8_t remember_get(const uint8_t identity[IDENTITY_BYTES], bool repeat_only);
void remember_drop(const uint8_t identity[IDENTITY_BYTES]);
void remember_stale(void);  // nothing may be repeated any more; last-good may still use it

// ---- marks.c: the two fanotify groups
extern int permission_fd, changes_fd;
uint32_t marks_init(void);                       // returns CAP_* bits
void marks_apply(struct policy *next, struct policy *old);
bool marks_ignore(int fd);                        // the kernel repeats "allow" until the file is modified
void marks_unignore(int fd);
void marks_forget(void);
int mount_of(const struct stat *st, int fd);      // index, or -1
int mount_of_change(uint64_t fsid, const char *path);

// ---- events.c
struct stats {
  uint64_t events, allowed, denied, remembered, filtered, failed, timeouts, disconnected, overflows, notifications,
      notifications_lost, bytes_read, outstanding, resident_kib, reconnects;
};
extern struct stats stats;
extern pid_t own_pid, appliance_pid;
void events_init(void);
void events_read(void);                           // permission_fd is readable
void changes_read(void);                          // changes_fd is readable
bool events_unsent(void);                         // some event did not fit on the link
void events_resend(void);
void events_connection_lost(void);
uint64_t events_expire(uint64_t now);             // returns ms until the next deadline, UINT64_MAX without
void events_disposition(uint32_t id, uint8_t verdict, bool remember);
int events_fd(uint32_t id, struct stat *st);      // descriptor of an outstanding event, -1 when it is gone
void events_policy_changed(void);

// ---- link.c: the connection
struct link_target {
  enum { LINK_UNIX, LINK_VSOCK } kind;
  char path[108];
  uint32_t cid, port;
};
extern int link_fd;
extern bool link_up;                              // authenticated
bool link_parse(const char *text, struct link_target *out);
void link_init(const struct link_target *target);
void link_established(void);                      // both ends have proved themselves
void link_refused(void);                          // wait longer before the next attempt
uint64_t link_tick(uint64_t now);                 // connect, heartbeat, dead peer; returns ms until it wants to run again
void link_readable(void);
void link_writable(void);
void link_flush(void);
bool link_wants_write(void);
bool link_wants_read(void);                       // false while answers would find no room
extern uint64_t link_serial;                      // of the connection: the same descriptor number may be another one
void link_resume(void);                           // go on with what had to wait for room
size_t link_room(void);
// Queues one frame, with a descriptor or -1; `own`: closed once it is sent. False when there is no room or no connection.
bool link_send(const struct frame *f, int fd, bool own);
void link_forget_fd(int fd);                      // it is about to be closed: another one goes in its place
void link_close(const char *why);

// ---- session.c: what is said on it
void session_init(const char *vm, const char *token, uint32_t capabilities);
void session_reset(void);                         // a new connection
void session_frame(const uint8_t *frame, size_t length);

// ---- jobs.c: worker threads for what may wait for a disk, and for every access by path
extern int jobs_event_fd;                         // readable when a worker has a frame to send
void jobs_init(void);
// False when the queue is full. `fd` is owned by the job.
bool jobs_hash(uint32_t id, int fd);
bool jobs_read(uint32_t id, int fd, uint64_t offset, uint32_t length);
bool jobs_path(uint8_t type, uint32_t id, struct reader *body);
void jobs_more(uint32_t id, uint16_t count);
void jobs_stop(uint32_t id);
void jobs_collect(void);                          // move finished frames to the link
void jobs_reset(void);                            // connection lost: give up everything

// ---- sandbox.c
void sandbox_enter(bool remediation);              // capabilities; before threads are started
void sandbox_filter(void);                         // system calls; last

// ---- main.c
extern bool remediation_allowed;
