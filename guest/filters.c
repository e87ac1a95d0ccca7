// What decides whether the appliance is asked at all: who accesses, which path, which type of file.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver.h"

// The process waits in the kernel while its event is pending, so what /proc tells belongs to it.
void process_lookup(pid_t pid, struct process_info *out) {
  char name[64], text[1024];
  out->pid = (uint32_t)pid;
  out->uid = 0;
  out->image[0] = 0;
  if (pid <= 0) return;  // of a pid namespace that this one cannot see
  snprintf(name, sizeof name, "/proc/%d/exe", (int)pid);
  const ssize_t n = readlink(name, out->image, MAX_PATH);
  out->image[n > 0 ? n : 0] = 0;
  // Its directory belongs to the effective user, but to root when the process may not be traced: only then ask further.
  struct stat st;
  snprintf(name, sizeof name, "/proc/%d", (int)pid);
  if (stat(name, &st) == 0 && st.st_uid != 0) {
    out->uid = st.st_uid;
    return;
  }
  snprintf(name, sizeof name, "/proc/%d/status", (int)pid);
  const int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  text[got > 0 ? got : 0] = 0;
  const char *line = strstr(text, "\nUid:");
  unsigned long real = 0, effective = 0;
  if (line != NULL && sscanf(line + 5, "%lu %lu", &real, &effective) == 2) out->uid = (uint32_t)effective;
}

// `*` and `?` stay within a level, `**` crosses levels. Linear in practice: only the last star is tried again.
bool pattern_matches(const char *pattern, const char *path) {
  const char *star = NULL, *star_path = NULL;
  bool deep = false;
  const char *deep_star = NULL, *deep_path = NULL;
  for (;;) {
    if (*pattern == '*') {
      deep = pattern[1] == '*';
      pattern += deep ? 2 : 1;
      if (deep) {
        deep_star = pattern;
        deep_path = path;
        star = NULL;
      } else {
        star = pattern;
        star_path = path;
      }
      continue;
    }
    if (*path == 0 && *pattern == 0) return true;
    if (*path != 0 && (*pattern == *path || (*pattern == '?' && *path != '/'))) {
      pattern++;
      path++;
      continue;
    }
    if (star != NULL && *star_path != 0 && *star_path != '/') {
      pattern = star;
      path = ++star_path;
    } else if (deep_star != NULL && *deep_path != 0) {
      pattern = deep_star;
      path = ++deep_path;
      star = NULL;
    } else {
      return false;
    }
  }
}

const char *file_type(const uint8_t *head, size_t n) {
  static const struct {
    const char *name;
    uint8_t length;
    uint8_t bytes[8];
  } types[] = {
      {"elf", 4, {0x7f, 'E', 'L', 'F'}}, {"script", 2, {'#', '!'}},         {"pe", 2, {'M', 'Z'}},
      {"zip", 2, {'P', 'K'}},            {"pdf", 4, {'%', 'P', 'D', 'F'}},  {"gzip", 2, {0x1f, 0x8b}},
      {"ole", 8, {0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1}},
  };
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    if (n >= types[i].length && memcmp(head, types[i].bytes, types[i].length) == 0) return types[i].name;
  }
  return "other";
}

void policy_free(struct policy *p) {
  for (int i = 0; i < p->mount_count; i++) {
    free(p->mounts[i].path);
    if (p->mounts[i].fd >= 0) close(p->mounts[i].fd);
  }
  for (int i = 0; i < p->filter_count; i++) free(p->filters[i].value);
  p->mount_count = p->filter_count = 0;
}
