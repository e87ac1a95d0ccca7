// Privilege drop. Capabilities, the bounding set and no_new_privs belong to threads in Linux, and Node has started
// several before any JavaScript runs; so the drop is repeated on every thread of the process by a signal.
#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "addon.h"
#include "args.h"

namespace drawbridge {

namespace {

constexpr int kLastCap = 63;

// The names a packet appliance may keep; the last one to read the files of containers, whoever owns them. Everything else is dropped, known by name or not.
struct CapName {
  const char* name;
  int bit;
};
constexpr CapName kKeepable[] = {
    {"cap_net_admin", CAP_NET_ADMIN}, {"cap_net_raw", CAP_NET_RAW}, {"cap_dac_read_search", CAP_DAC_READ_SEARCH}};

// What the signal handler applies: plain memory, async-signal-safe calls only. One drop at a time (the lock below).
uint64_t keep_mask;
std::atomic<int> handled{0};
std::mutex drop_lock;

int SetCapabilities(uint64_t mask) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int i = 0; i < 2; i++) {
    data[i].effective = data[i].permitted = static_cast<uint32_t>(mask >> (32 * i));
    // Nothing is inheritable: a program this process starts gets no capability at all.
    data[i].inheritable = 0;
  }
  return syscall(SYS_capset, &header, data) == 0 ? 0 : errno;
}

int GetPermitted(uint64_t* mask) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return errno;
  *mask = data[0].permitted | uint64_t{data[1].permitted} << 32;
  return 0;
}

// The calling thread only; safe inside a signal handler. Order: the bounding set needs CAP_SETPCAP, so it goes before
// the capabilities. Without CAP_SETPCAP it cannot be lowered, but no_new_privs already makes it unreachable.
int DropOnThisThread(uint64_t mask) {
  uint64_t had = 0;
  if (int err = GetPermitted(&had)) return err;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  // A change of uid leaves what is permitted but takes it out of effect.
  if (int err = SetCapabilities(had)) return err;
  if ((had >> CAP_SETPCAP & 1) != 0) {
    for (int cap = 0; cap <= kLastCap; cap++) {
      if ((mask >> cap & 1) == 0 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 &&
          prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) {
        return errno;
      }
    }
  }
  // A capability the thread never had cannot be kept.
  return SetCapabilities(mask & had);
}

void OnDropSignal(int) {
  const int saved = errno;
  DropOnThisThread(keep_mask);
  handled.fetch_add(1, std::memory_order_release);
  errno = saved;
}

std::vector<int> ThreadIds() {
  std::vector<int> ids;
  if (DIR* dir = opendir("/proc/self/task")) {
    while (dirent* e = readdir(dir)) {
      if (e->d_name[0] != '.') ids.push_back(atoi(e->d_name));
    }
    closedir(dir);
  }
  return ids;
}

// Value of a hexadecimal field of a thread's status file; all ones when it cannot be read.
uint64_t StatusMask(int tid, const char* field) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
  uint64_t value = ~uint64_t{0};
  FILE* f = fopen(path, "re");
  if (f == nullptr) return errno == ENOENT ? 0 : value;  // the thread ended: nothing left to hold
  while (fgets(line, sizeof line, f) != nullptr) {
    if (strncmp(line, field, strlen(field)) == 0) value = strtoull(line + strlen(field), nullptr, 16);
  }
  fclose(f);
  return value;
}

// Runs the drop on all other threads. Returns how many still hold a capability outside `mask`.
int DropOnOtherThreads(uint64_t mask) {
  const int signal_number = SIGRTMAX - 3;
  struct sigaction action, previous;
  memset(&action, 0, sizeof action);
  action.sa_handler = OnDropSignal;
  action.sa_flags = SA_RESTART;
  keep_mask = mask;
  handled.store(0);
  if (sigaction(signal_number, &action, &previous) != 0) return -1;
  const int self = static_cast<int>(syscall(SYS_gettid));
  int sent = 0;
  for (int tid : ThreadIds()) {
    const bool blocked = (StatusMask(tid, "SigBlk:") >> (signal_number - 1) & 1) != 0;
    // A thread that blocks the signal would keep it pending for ever; it is counted below.
    if (tid != self && !blocked && syscall(SYS_tgkill, getpid(), tid, signal_number) == 0) sent++;
  }
  for (int i = 0; i < 2000 && handled.load(std::memory_order_acquire) < sent; i++) {
    const timespec pause = {0, 500 * 1000};
    nanosleep(&pause, nullptr);
  }
  // The handler stays if some thread was too slow: the default action of a late signal would end the process.
  if (handled.load() >= sent) sigaction(signal_number, &previous, nullptr);
  int left = 0;
  for (int tid : ThreadIds()) left += (StatusMask(tid, "CapPrm:") & ~mask) != 0;
  return left;
}

bool ReadKeep(napi_env env, napi_value options, uint64_t* mask) {
  napi_value list;
  bool is_array = false;
  uint32_t n = 0;
  *mask = 0;
  if (napi_get_named_property(env, options, "keep", &list) != napi_ok) {
    ThrowType(env, "cannot read option keep");
    return false;
  }
  if (IsUndefined(env, list)) return true;
  if (napi_is_array(env, list, &is_array) != napi_ok || !is_array) {
    ThrowType(env, "keep must be an array of capability names");
    return false;
  }
  napi_get_array_length(env, list, &n);
  for (uint32_t i = 0; i < n; i++) {
    napi_value item;
    std::string name;
    if (napi_get_element(env, list, i, &item) != napi_ok || !GetLatin1(env, item, "keep", false, &name)) return false;
    bool known = false;
    for (const CapName& c : kKeepable) {
      if (name == c.name) {
        *mask |= uint64_t{1} << c.bit;
        known = true;
      }
    }
    if (!known) {
      ThrowRange(env, "cannot keep '%.40s': only cap_net_admin, cap_net_raw and cap_dac_read_search", name.c_str());
      return false;
    }
  }
  return true;
}

}  // namespace

napi_value DropPrivilegesCall(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  bool given, set_uid = false, set_gid = false;
  int64_t uid = 0, gid = 0;
  uint64_t mask;
  if (!GetOptions(env, args.v[0], &given)) return nullptr;
  if (!given) return ThrowType(env, "options must be an object");
  constexpr int64_t kMaxId = 0xfffffffe;  // -1 means "unchanged" to the kernel
  if (!GetOptionalInt(env, args.v[0], "uid", 0, kMaxId, &uid, &set_uid) ||
      !GetOptionalInt(env, args.v[0], "gid", 0, kMaxId, &gid, &set_gid) || !ReadKeep(env, args.v[0], &mask)) {
    return nullptr;
  }
  std::lock_guard<std::mutex> hold(drop_lock);
  // The C library applies identity changes to every thread. Groups first, while we may; capabilities survive the
  // change of uid on this thread (the others lose all of theirs, which is no loss: they do no packet I/O).
  if (set_gid) {
    const gid_t g = static_cast<gid_t>(gid);
    if (setgroups(0, nullptr) != 0) return ThrowErrno(env, "setgroups", errno);
    if (setresgid(g, g, g) != 0) return ThrowErrno(env, "setresgid", errno);
  }
  if (set_uid) {
    const uid_t u = static_cast<uid_t>(uid);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return ThrowErrno(env, "prctl(PR_SET_KEEPCAPS)", errno);
    const int err = setresuid(u, u, u) != 0 ? errno : 0;
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    if (err != 0) return ThrowErrno(env, "setresuid", err);
  }
  if (int err = DropOnThisThread(mask)) return ThrowErrno(env, "capset or prctl", err);
  const int left = DropOnOtherThreads(mask);
  if (left < 0) return ThrowErrno(env, "sigaction", errno);
  return MakeInt(env, left);
}

}  // namespace drawbridge
