// After set-up: no new privileges, few capabilities, and a list of allowed system calls. Programs cannot be started.
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "driver.h"

static void drop_capabilities(bool remediation) {
  // Marks and handles; files of everybody; /proc/PID/exe of everybody; the lease that tells whether a file has writers.
  uint64_t keep = 1ull << CAP_SYS_ADMIN | 1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_SYS_PTRACE | 1ull << CAP_LEASE | 1ull << CAP_FOWNER;
  if (remediation) keep |= 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_CHOWN | 1ull << CAP_FSETID;
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {0};
  if (syscall(SYS_capget, &header, data) != 0) die("capget: %s", strerror(errno));
  for (int cap = 0; cap < 64; cap++) {
    if ((keep >> cap & 1) == 0 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1) prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
  }
  for (int i = 0; i < 2; i++) {
    data[i].permitted &= (uint32_t)(keep >> (32 * i));
    data[i].effective = data[i].permitted;
    data[i].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, data) != 0) die("capset: %s", strerror(errno));
}

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

// The sanitizers' own threads and reports need other calls.
#if defined(THIS_ARCH) && !defined(__SANITIZE_ADDRESS__)
static const int allowed[] = {
    SYS_read, SYS_write, SYS_pread64, SYS_pwrite64, SYS_preadv2, SYS_writev, SYS_close, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs, SYS_lseek,
    SYS_openat, SYS_readlinkat, SYS_getdents64, SYS_unlinkat, SYS_linkat, SYS_renameat2, SYS_fchown, SYS_fchmod, SYS_utimensat, SYS_fcntl,
    SYS_socket, SYS_connect, SYS_getsockopt, SYS_sendmsg, SYS_sendto, SYS_recvmsg, SYS_recvfrom, SYS_epoll_ctl, SYS_epoll_pwait, SYS_ppoll,
    SYS_fanotify_mark, SYS_open_by_handle_at, SYS_futex, SYS_clock_gettime, SYS_clock_nanosleep, SYS_getrandom, SYS_getpid, SYS_uname,
    SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk, SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_sched_yield,
    SYS_exit, SYS_exit_group, SYS_restart_syscall,
#ifdef SYS_open
    SYS_open, SYS_stat, SYS_lstat, SYS_readlink, SYS_unlink, SYS_epoll_wait, SYS_poll,
#endif
#ifdef SYS_rseq
    SYS_rseq,
#endif
};

// Anything else fails with EPERM, which this program reports like any other error; starting a program ends it.
static void filter_calls(void) {
  const int count = sizeof allowed / sizeof allowed[0];
  struct sock_filter code[sizeof allowed / sizeof allowed[0] + 16];
  int n = 0;
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 2, 0);
  code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execveat, 1, 0);
  code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  for (int i = 0; i < count; i++) {
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], (unsigned char)(count - i), 0);
  }
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const struct sock_fprog program = {(unsigned short)n, code};
  // TSYNC: the worker threads are already running.
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) log_line("seccomp is not available: %s", strerror(errno));
}
#else
static void filter_calls(void) { log_line("no system call filter in this build"); }
#endif

void sandbox_enter(bool remediation) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die("prctl: %s", strerror(errno));
  drop_capabilities(remediation);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void sandbox_filter(void) { filter_calls(); }
