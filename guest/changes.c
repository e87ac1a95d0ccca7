// Changed directory entries (integrity monitoring): created, removed, renamed, attributes. They wait for nobody.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "driver.h"

#ifndef FAN_EVENT_INFO_TYPE_DFID_NAME
#define FAN_EVENT_INFO_TYPE_DFID_NAME 2
#endif

static bool lost;  // tell the appliance as soon as there is room

// Path of a directory handle; an O_PATH descriptor raises no event.
static bool directory_path(const struct fanotify_event_info_fid *fid, uint64_t fsid, char path[MAX_PATH + 1]) {
  for (int i = 0; i < policy.mount_count; i++) {
    const struct mount *m = &policy.mounts[i];
    if (m->fd < 0 || m->fsid != fsid) continue;
    const int dir = open_by_handle_at(m->fd, (struct file_handle *)(uintptr_t)fid->handle, O_PATH | O_CLOEXEC);
    if (dir < 0) continue;
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    const ssize_t n = readlink(link, path, MAX_PATH);
    close(dir);
    if (n <= 0) continue;
    path[n] = 0;
    return true;
  }
  return false;
}

static void tell(uint8_t kind, int mount, pid_t pid, const char *path) {
  static uint8_t buffer[HEADER_BYTES + 10 + 2 * (2 + MAX_PATH)];
  static struct process_info who;
  struct frame f = {buffer, sizeof buffer, 0};
  if (pid > 0) {
    process_lookup(pid, &who);
  } else {
    memset(&who, 0, sizeof who);
  }
  frame_start(&f, M_CHANGE, 0, 0);
  put_u8(&f, kind);
  put_u8(&f, (uint8_t)mount);
  put_u32(&f, who.pid);
  put_u32(&f, who.uid);
  put_text(&f, who.image, MAX_PATH);
  put_text(&f, path, MAX_PATH);
  frame_finish(&f);
  if (link_send(&f, -1, false)) {
    if (kind == CHANGE_LOST) lost = false;
  } else {
    lost = true;
    stats.notifications_lost++;
  }
}

static void change(const struct fanotify_event_metadata *e) {
  static char path[2 * MAX_PATH + 2];
  const struct fanotify_event_info_fid *fid = (const void *)((const uint8_t *)e + e->metadata_len);
  stats.notifications++;
  if (e->event_len < e->metadata_len + sizeof *fid || fid->hdr.info_type != FAN_EVENT_INFO_TYPE_DFID_NAME) return;
  uint64_t fsid;
  memcpy(&fsid, &fid->fsid, sizeof fsid);
  if (!directory_path(fid, fsid, path)) return;  // the directory is gone as well
  const struct file_handle *handle = (const void *)fid->handle;
  const char *name = (const char *)handle->f_handle + handle->handle_bytes;
  const size_t at = strlen(path);
  if (strcmp(name, ".") != 0) snprintf(path + at, sizeof path - at, "%s%s", at > 1 ? "/" : "", name);
  if (strlen(path) > MAX_PATH) return;
  const int mount = mount_of_change(fsid, path);
  if (mount < 0 || !(policy.mounts[mount].events & MASK_CHANGES)) return;
  static const struct {
    uint64_t mask;
    uint8_t kind;
  } kinds[] = {{FAN_CREATE, CHANGE_CREATED}, {FAN_MOVED_FROM, CHANGE_MOVED_FROM}, {FAN_MOVED_TO, CHANGE_MOVED_TO}, {FAN_ATTRIB, CHANGE_ATTRIBUTES}, {FAN_DELETE, CHANGE_REMOVED}};
  // Changes of one entry that were not read yet come as one event with several bits.
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    if (e->mask & kinds[i].mask) tell(kinds[i].kind, mount, e->pid, path);
  }
}

void changes_read(void) {
  static uint8_t buffer[16384] __attribute__((aligned(8)));
  if (lost && link_up && link_room() > MAX_CHUNK) tell(CHANGE_LOST, 0, 0, "/");
  const ssize_t n = read(changes_fd, buffer, sizeof buffer);
  const struct fanotify_event_metadata *e = (const void *)buffer;
  for (ssize_t left = n; n > 0 && FAN_EVENT_OK(e, left); e = FAN_EVENT_NEXT(e, left)) {
    if (e->mask & FAN_Q_OVERFLOW) {
      lost = true;
      stats.notifications_lost++;
    } else if (e->pid != own_pid && e->pid != appliance_pid) {
      change(e);
    }
  }
}
