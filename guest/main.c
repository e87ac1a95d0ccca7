// drawbridge-driver: asks the appliance about files before the kernel lets processes have them. Options, set-up, loop.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

struct policy policy;
bool remediation_allowed = true;

static const char usage[] =
    "usage: drawbridge-driver --connect unix:/PATH|vsock:CID:PORT --vm NAME --token-file FILE [options]\n"
    "  --mount PATH            watch this before the appliance has said what to watch (may be repeated):\n"
    "                          opening and executing, allowed when nobody answers within 2 s\n"
    "  --no-remediation        never remove or restore files\n"
    "  --version, --help\n";

static void write_line(const char *prefix, const char *format, va_list args) {
  char line[512];
  int n = snprintf(line, sizeof line, "drawbridge-driver: %s", prefix);
  n += vsnprintf(line + n, sizeof line - (size_t)n, format, args);
  if (n > (int)sizeof line - 2) n = (int)sizeof line - 2;
  line[n++] = '\n';
  // Whoever reads this may be waiting for one of our answers: a full pipe loses the line, it does not stop everybody.
  struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
  if (poll(&out, 1, 0) != 1 || (out.revents & POLLOUT) == 0 || write(STDERR_FILENO, line, (size_t)n) < 0) return;
}

void log_line(const char *format, ...) {
  va_list args;
  va_start(args, format);
  write_line("", format, args);
  va_end(args);
}

void die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  write_line("fatal: ", format, args);
  va_end(args);
  // Closing the fanotify group lets every waiting process continue.
  _exit(1);
}

uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

uint64_t now_ms(void) { return now_us() / 1000; }

static void read_token(const char *file, char token[MAX_TOKEN + 1]) {
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) die("%s: %s", file, strerror(errno));
  if ((st.st_mode & 077) != 0) log_line("warning: %s can be read by others", file);
  const ssize_t n = read(fd, token, MAX_TOKEN);
  close(fd);
  token[n > 0 ? n : 0] = 0;
  token[strcspn(token, "\r\n")] = 0;
  if (token[0] == 0) die("%s holds no token", file);
}

static void add_local_mount(const char *path) {
  if (path[0] != '/' || policy.mount_count == MAX_MOUNTS) die("--mount %s: an absolute path, at most %d of them", path, MAX_MOUNTS);
  policy.mounts[policy.mount_count++] = (struct mount){
      .path = strdup(path), .scope = SCOPE_FILESYSTEM, .events = MASK_OPEN | MASK_OPEN_EXEC, .failure = FAIL_ALLOW, .timeout_ms = 2000, .fd = -1};
}

static void limits(void) {
  // Every waiting process costs a descriptor. What is set here bounds also what can be on its way to the appliance.
  struct rlimit files = {MAX_OUTSTANDING * 2 + 512, MAX_OUTSTANDING * 2 + 512};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  const struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);  // the token
  // All processes of the guest wait for this one: it goes first, and is the last to be killed for memory.
  setpriority(PRIO_PROCESS, 0, -10);
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) {
    if (write(fd, "-1000", 5) < 0) log_line("oom_score_adj: %s", strerror(errno));
    close(fd);
  }
}

static void watch(int epoll, int fd, uint32_t events, int op) {
  struct epoll_event e = {.events = events, .data.fd = fd};
  if (epoll_ctl(epoll, op, fd, &e) != 0) log_line("epoll_ctl: %s", strerror(errno));
}

// The link's descriptor comes and goes; the kernel forgets a closed one by itself.
static void watch_link(int epoll) {
  static int watched = -1;
  static uint32_t wanted;
  const uint32_t events = (link_wants_read() ? EPOLLIN : 0) | (link_wants_write() ? EPOLLOUT : 0);
  static uint64_t serial;
  if (link_fd < 0) {
    watched = -1;
    return;
  }
  if (watched != link_fd || serial != link_serial) {
    watch(epoll, link_fd, events, EPOLL_CTL_ADD);
  } else if (wanted != events) {
    watch(epoll, link_fd, events, EPOLL_CTL_MOD);
  }
  watched = link_fd;
  serial = link_serial;
  wanted = events;
}

static void loop(int signals) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) die("epoll_create1: %s", strerror(errno));
  watch(epoll, permission_fd, EPOLLIN, EPOLL_CTL_ADD);
  if (changes_fd >= 0) watch(epoll, changes_fd, EPOLLIN, EPOLL_CTL_ADD);
  watch(epoll, jobs_event_fd, EPOLLIN, EPOLL_CTL_ADD);
  watch(epoll, signals, EPOLLIN, EPOLL_CTL_ADD);
  sandbox_filter();
  for (;;) {
    const uint64_t now = now_ms();
    uint64_t wait = link_tick(now);
    const uint64_t expire = events_expire(now);
    if (expire < wait) wait = expire;
    link_flush();
    watch_link(epoll);
    struct epoll_event ready[8];
    const int n = epoll_wait(epoll, ready, 8, wait > 60000 ? 60000 : (int)wait + (wait > 0));
    for (int i = 0; i < n; i++) {
      const int fd = ready[i].data.fd;
      if (fd == permission_fd) {
        events_read();
      } else if (fd == changes_fd) {
        changes_read();
      } else if (fd == signals) {
        log_line("stopping: %llu events, %llu asked, %llu denied", (unsigned long long)stats.events, (unsigned long long)(stats.allowed + stats.denied), (unsigned long long)stats.denied);
        _exit(0);
      } else if (fd == jobs_event_fd) {
        jobs_collect();
      } else if (fd == link_fd) {
        if (ready[i].events & EPOLLOUT) link_writable();
        if (link_fd >= 0 && (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) link_readable();
      }
    }
    if (link_fd >= 0) {
      jobs_collect();
      // Frames that had to wait for room, and events that did not fit.
      link_resume();
    }
  }
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"connect", 1, NULL, 'c'}, {"vm", 1, NULL, 'n'},     {"token-file", 1, NULL, 't'}, {"mount", 1, NULL, 'm'},
                                          {"no-remediation", 0, NULL, 'r'}, {"version", 0, NULL, 'v'}, {"help", 0, NULL, 'h'},       {NULL, 0, NULL, 0}};
  struct link_target target;
  const char *connect = NULL, *vm = NULL, *token_file = NULL;
  char token[MAX_TOKEN + 1];
  // Until the appliance has spoken.
  policy = (struct policy){.heartbeat_ms = 5000, .max_outstanding = 256, .kernel_cache = true};
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (c) {
      case 'c': connect = optarg; break;
      case 'n': vm = optarg; break;
      case 't': token_file = optarg; break;
      case 'm': add_local_mount(optarg); break;
      case 'r': remediation_allowed = false; break;
      case 'v': puts("drawbridge-driver " DRIVER_VERSION); return 0;
      case 'h': fputs(usage, stdout); return 0;
      default: fputs(usage, stderr); return 2;
    }
  }
  if (connect == NULL || vm == NULL || token_file == NULL || optind != argc) {
    fputs(usage, stderr);
    return 2;
  }
  if (!link_parse(connect, &target)) die("--connect %s: unix:/PATH or vsock:CID:PORT", connect);
  if (strlen(vm) == 0 || strlen(vm) > MAX_VM_NAME) die("--vm: 1 to %d characters", MAX_VM_NAME);
  read_token(token_file, token);

  limits();
  signal(SIGIO, SIG_IGN);  // a lease that is asked back (events.c)
  signal(SIGPIPE, SIG_IGN);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGTERM);
  sigaddset(&mask, SIGINT);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  const int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) die("signalfd: %s", strerror(errno));

  const uint32_t capabilities = marks_init();
  remember_init();
  events_init();
  link_init(&target);
  session_init(vm, token, capabilities | (target.kind == LINK_UNIX ? CAP_DESCRIPTORS : 0));
  explicit_bzero(token, sizeof token);
  sandbox_enter(remediation_allowed);
  jobs_init();
  static struct policy nothing;
  marks_apply(&policy, &nothing);
  loop(signals);
}
