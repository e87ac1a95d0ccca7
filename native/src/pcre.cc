// PCRE2 with JIT. Bytes, never characters: UTF mode is refused even when the pattern asks for it, so no input is
// "invalid". Patterns come from rules and subjects from the wire, hence limits on every match.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <time.h>

#include <algorithm>

#include <string>

#include "addon.h"
#include "args.h"

namespace drawbridge {

namespace {

// Suricata's defaults for pcre match-limit and recursion limit; heap in KiB for the interpreter, which only runs
// patterns the JIT refuses.
constexpr uint32_t kMatchLimit = 3500;
constexpr uint32_t kDepthLimit = 1500;
constexpr uint32_t kHeapLimitKib = 4096;
constexpr size_t kJitStackStart = 32 * 1024;
constexpr size_t kJitStackMax = 512 * 1024;

// Match limits count steps, not bytes looked at: `a[^b]*c` at each of n starts looks at n bytes for one step. Under a time
// bound, long subjects are therefore searched in portions of starts, about this many start-byte pairs each.
constexpr size_t kPortionWork = 4 << 20;
constexpr size_t kPortionFrom = 1024;
constexpr size_t kPortionLeast = 32;

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

constexpr int64_t kOptions = PCRE2_CASELESS | PCRE2_DOTALL | PCRE2_MULTILINE | PCRE2_EXTENDED | PCRE2_ANCHORED |
                             PCRE2_DOLLAR_ENDONLY | PCRE2_UNGREEDY;

struct Regex {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  uint32_t groups = 0;
  bool jit = false;
  // Matches at the first start or nowhere (\A, \G, a leading .* and the like).
  bool anchored = false;
  ~Regex() {
    if (context != nullptr) pcre2_match_context_free(context);
    if (code != nullptr) pcre2_code_free(code);
  }
};

void FinalizeRegex(napi_env, void* data, void*) { delete static_cast<Regex*>(data); }

// Match data for `pairs` capture pairs, shared by every pattern of the thread; grows to the largest.
bool PrepareMatchData(napi_env env, uint32_t pairs) {
  Instance* instance = GetInstance(env);
  if (instance->pcre_jit_stack == nullptr) {
    instance->pcre_jit_stack = pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr);
  }
  if (instance->pcre_match_data == nullptr || instance->pcre_pairs < pairs) {
    pcre2_match_data* larger = pcre2_match_data_create(pairs, nullptr);
    if (larger == nullptr) {
      ThrowError(env, "out of memory for %u capture groups", pairs);
      return false;
    }
    if (instance->pcre_match_data != nullptr) pcre2_match_data_free(instance->pcre_match_data);
    instance->pcre_match_data = larger;
    instance->pcre_pairs = pairs;
  }
  return true;
}

napi_value Construct(napi_env env, napi_callback_info info) {
  Args<4> args(env, info);
  napi_value target;
  if (napi_get_new_target(env, info, &target) != napi_ok || target == nullptr) {
    return ThrowType(env, "class constructor Pcre cannot be invoked without 'new'");
  }
  std::string expression;
  int64_t options;
  uint32_t match_limit = kMatchLimit, depth_limit = kDepthLimit;
  if (!GetLatin1(env, args.v[0], "expression", true, &expression) ||
      !args.Int(1, "options", 0, UINT32_MAX, &options)) {
    return nullptr;
  }
  if ((options & ~kOptions) != 0) return ThrowRange(env, "options hold a bit that is no PCRE_*");
  if (!IsUndefined(env, args.v[2]) && !args.Int(2, "matchLimit", 1, INT32_MAX, &match_limit)) return nullptr;
  if (!IsUndefined(env, args.v[3]) && !args.Int(3, "depthLimit", 1, INT32_MAX, &depth_limit)) return nullptr;

  int error = 0;
  PCRE2_SIZE offset = 0;
  Regex* regex = new Regex();
  regex->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                              static_cast<uint32_t>(options) | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_USE_OFFSET_LIMIT, &error, &offset,
                              nullptr);
  if (regex->code == nullptr) {
    delete regex;
    PCRE2_UCHAR text[256];
    pcre2_get_error_message(error, text, sizeof text);
    return ThrowErrorWith(env, std::string(reinterpret_cast<char*>(text)) + " at offset " + std::to_string(offset),
                          "offset", static_cast<int64_t>(offset));
  }
  pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &regex->groups);
  uint32_t all_options = 0;
  pcre2_pattern_info(regex->code, PCRE2_INFO_ALLOPTIONS, &all_options);
  regex->anchored = (all_options & PCRE2_ANCHORED) != 0;
  regex->context = pcre2_match_context_create(nullptr);
  if (regex->context == nullptr || !PrepareMatchData(env, regex->groups + 1)) {
    delete regex;
    return ThrowError(env, "out of memory");
  }
  // Patterns the JIT does not support still run, by the interpreter and under the same limits.
  size_t jit_size = 0;
  if (pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE) == 0) {
    pcre2_pattern_info(regex->code, PCRE2_INFO_JITSIZE, &jit_size);
  }
  regex->jit = jit_size > 0;
  pcre2_set_match_limit(regex->context, match_limit);
  pcre2_set_depth_limit(regex->context, depth_limit);
  pcre2_set_heap_limit(regex->context, kHeapLimitKib);
  pcre2_jit_stack_assign(regex->context, nullptr, GetInstance(env)->pcre_jit_stack);
  if (napi_wrap(env, args.self, regex, FinalizeRegex, nullptr, nullptr) != napi_ok) {
    delete regex;
    return nullptr;
  }
  return args.self;
}

napi_value Groups(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  Regex* r = Unwrap<Regex>(env, args.self);
  return r == nullptr ? nullptr : MakeInt(env, r->groups);
}

napi_value Names(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  Regex* r = Unwrap<Regex>(env, args.self);
  if (r == nullptr) return nullptr;
  uint32_t count = 0, stride = 0;
  PCRE2_SPTR entry = nullptr;
  pcre2_pattern_info(r->code, PCRE2_INFO_NAMECOUNT, &count);
  pcre2_pattern_info(r->code, PCRE2_INFO_NAMEENTRYSIZE, &stride);
  pcre2_pattern_info(r->code, PCRE2_INFO_NAMETABLE, &entry);
  napi_value names;
  if (napi_create_object(env, &names) != napi_ok) return nullptr;
  for (uint32_t i = 0; i < count; i++, entry += stride) {
    const char* name = reinterpret_cast<const char*>(entry + 2);
    // Defined, not assigned: a group may be called __proto__.
    const napi_property_descriptor property = {
        name, nullptr, nullptr, nullptr, nullptr, MakeInt(env, entry[0] << 8 | entry[1]), napi_enumerable, nullptr};
    napi_define_properties(env, names, 1, &property);
  }
  napi_object_freeze(env, names);
  return names;
}

int MatchOnce(const Regex& r, PCRE2_SPTR subject, size_t size, size_t start, pcre2_match_data* data) {
  return r.jit ? pcre2_jit_match(r.code, subject, size, start, 0, data, r.context)
               : pcre2_match(r.code, subject, size, start, 0, data, r.context);
}

// Under the thread's time bound. Portions find the same match as one search: the first start that matches.
int MatchInTime(Instance* instance, const Regex& r, PCRE2_SPTR subject, size_t size, size_t start) {
  pcre2_match_data* data = instance->pcre_match_data;
  if (instance->pcre_time_left == INT64_MAX) return MatchOnce(r, subject, size, start, data);
  if (instance->pcre_time_left <= 0) return PCRE2_ERROR_MATCHLIMIT;
  int64_t before = NowNs();
  int rc;
  if (r.anchored || size - start <= kPortionFrom) {
    rc = MatchOnce(r, subject, size, start, data);
    instance->pcre_time_left -= NowNs() - before;
    return rc;
  }
  const size_t portion = std::max(kPortionLeast, kPortionWork / size);
  for (;;) {
    const size_t last = std::min(size, start + portion - 1);
    pcre2_set_offset_limit(r.context, last);
    rc = MatchOnce(r, subject, size, start, data);
    const int64_t now = NowNs();
    instance->pcre_time_left -= now - before;
    before = now;
    if (rc != PCRE2_ERROR_NOMATCH || last >= size) break;
    if (instance->pcre_time_left <= 0) {
      rc = PCRE2_ERROR_MATCHLIMIT;
      break;
    }
    start = last + 1;
  }
  pcre2_set_offset_limit(r.context, PCRE2_UNSET);
  return rc;
}

// Sets the time that matching may use from now on, in milliseconds; answers with what was left.
napi_value TimeBound(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  Instance* instance = GetInstance(env);
  double bound;
  if (napi_get_value_double(env, args.v[0], &bound) != napi_ok) return ThrowType(env, "ms must be a number");
  const int64_t left = instance->pcre_time_left;
  // Infinity, NaN and what does not fit: no bound.
  instance->pcre_time_left = bound >= 0 && bound < 1e9 ? static_cast<int64_t>(bound * 1e6) : INT64_MAX;
  napi_value out;
  const double ms = left == INT64_MAX ? __builtin_inf() : static_cast<double>(std::max<int64_t>(0, left)) / 1e6;
  return napi_create_double(env, ms, &out) == napi_ok ? out : nullptr;
}

napi_value Exec(napi_env env, napi_callback_info info) {
  Args<5> args(env, info);
  Regex* r = Unwrap<Regex>(env, args.self);
  Span<uint8_t> window;
  Span<int32_t> out;
  size_t start;
  if (r == nullptr || !args.Window(0, &window)) return nullptr;
  if (window.size > INT32_MAX) return ThrowRange(env, "len must be below 2 GiB: offsets are int32");
  if (!args.Int(3, "start", 0, static_cast<int64_t>(window.size), &start) ||
      !GetInt32Array(env, args.v[4], "ovector", &out)) {
    return nullptr;
  }
  static const PCRE2_UCHAR kNothing = 0;
  PCRE2_SPTR subject = window.size == 0 ? &kNothing : window.data;
  Instance* instance = GetInstance(env);
  pcre2_match_data* data = instance->pcre_match_data;
  const int rc = MatchInTime(instance, *r, subject, window.size, start);
  if (rc < 0) {
    // One word for "gave up": which of the limits fired depends on whether the JIT ran.
    const bool limit = rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT ||
                       rc == PCRE2_ERROR_JIT_STACKLIMIT;
    return MakeInt(env, limit ? PCRE2_ERROR_MATCHLIMIT : rc);
  }
  const PCRE2_SIZE* pairs = pcre2_get_ovector_pointer(data);
  const size_t fit = out.size / 2 < r->groups + 1 ? out.size / 2 : r->groups + 1;
  for (size_t i = 0; i < fit * 2; i++) {
    const bool set = i / 2 < static_cast<size_t>(rc) && pairs[i] != PCRE2_UNSET;
    out.data[i] = set ? static_cast<int32_t>(pairs[i]) : -1;
  }
  return MakeInt(env, rc);
}

}  // namespace

static bool ExportTimeBound(napi_env env, napi_value exports) {
  napi_value fn;
  return napi_create_function(env, "pcreTime", NAPI_AUTO_LENGTH, TimeBound, nullptr, &fn) == napi_ok &&
         SetProperty(env, exports, "pcreTime", fn);
}

bool DefinePcre(napi_env env, napi_value exports) {
  const napi_property_descriptor members[] = {
      {"exec", nullptr, Exec, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"groups", nullptr, nullptr, Groups, nullptr, nullptr, napi_enumerable, nullptr},
      {"names", nullptr, nullptr, Names, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_value cls;
  return napi_define_class(env, "Pcre", NAPI_AUTO_LENGTH, Construct, nullptr, sizeof members / sizeof *members, members,
                           &cls) == napi_ok &&
         ExportClass(env, exports, "Pcre", cls) && ExportTimeBound(env, exports) && ExportInt(env, exports, "PCRE_CASELESS", PCRE2_CASELESS) &&
         ExportInt(env, exports, "PCRE_DOTALL", PCRE2_DOTALL) &&
         ExportInt(env, exports, "PCRE_MULTILINE", PCRE2_MULTILINE) &&
         ExportInt(env, exports, "PCRE_EXTENDED", PCRE2_EXTENDED) &&
         ExportInt(env, exports, "PCRE_ANCHORED", PCRE2_ANCHORED) &&
         ExportInt(env, exports, "PCRE_DOLLAR_ENDONLY", PCRE2_DOLLAR_ENDONLY) &&
         ExportInt(env, exports, "PCRE_UNGREEDY", PCRE2_UNGREEDY) &&
         ExportInt(env, exports, "PCRE_NOMATCH", PCRE2_ERROR_NOMATCH) &&
         ExportInt(env, exports, "PCRE_LIMIT", PCRE2_ERROR_MATCHLIMIT);
}

void ReleasePcre(Instance* instance) {
  if (instance->pcre_match_data != nullptr) pcre2_match_data_free(instance->pcre_match_data);
  if (instance->pcre_jit_stack != nullptr) pcre2_jit_stack_free(instance->pcre_jit_stack);
  instance->pcre_match_data = nullptr;
  instance->pcre_jit_stack = nullptr;
}

}  // namespace drawbridge
