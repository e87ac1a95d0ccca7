// What one loaded instance of the addon keeps. Node loads the addon once per thread (main and each worker); there is
// one Instance per load, so nothing here is shared between threads and nothing needs a lock.
#pragma once

#include <node_api.h>

#include <cstdint>

struct hs_scratch;
struct pcre2_real_match_data_8;
struct pcre2_real_jit_stack_8;

namespace drawbridge {

struct Instance {
  // Vectorscan: one scratch serves every database of the thread; it only grows.
  hs_scratch* hs_scratch_space = nullptr;
  napi_ref hs_class = nullptr;
  // Hands a compiled database to the constructor, which JavaScript cannot call usefully on its own.
  void* hs_pending = nullptr;
  // PCRE2: match data and JIT stack are per thread, sized for the pattern with most groups.
  pcre2_real_match_data_8* pcre_match_data = nullptr;
  unsigned pcre_pairs = 0;
  // Time that matching may still use, in nanoseconds; INT64_MAX = no bound.
  int64_t pcre_time_left = INT64_MAX;
  pcre2_real_jit_stack_8* pcre_jit_stack = nullptr;
};

Instance* GetInstance(napi_env env);

// Callbacks, one per exported function.
napi_value OpenUnixCall(napi_env env, napi_callback_info info);
napi_value ChecksumCall(napi_env env, napi_callback_info info);
napi_value AdviseHugePagesCall(napi_env env, napi_callback_info info);
napi_value SegmentCall(napi_env env, napi_callback_info info);
napi_value OpenTapCall(napi_env env, napi_callback_info info);
napi_value OpenPacketCall(napi_env env, napi_callback_info info);
napi_value ConfigureInterfaceCall(napi_env env, napi_callback_info info);
napi_value CloseFdCall(napi_env env, napi_callback_info info);
napi_value WakeFdCall(napi_env env, napi_callback_info info);
napi_value DropPrivilegesCall(napi_env env, napi_callback_info info);
napi_value HsVersionCall(napi_env env, napi_callback_info info);
napi_value ListenUnixCall(napi_env env, napi_callback_info info);
napi_value ListenVsockCall(napi_env env, napi_callback_info info);
napi_value AcceptSocketCall(napi_env env, napi_callback_info info);
napi_value ReceiveSocketCall(napi_env env, napi_callback_info info);
napi_value SendSocketCall(napi_env env, napi_callback_info info);
napi_value ReadCachedCall(napi_env env, napi_callback_info info);

// Classes and constants; each returns false with an exception pending.
bool DefineIoLoop(napi_env env, napi_value exports);
bool DefineVectorscan(napi_env env, napi_value exports, Instance* instance);
bool DefinePcre(napi_env env, napi_value exports);
bool DefineInflate(napi_env env, napi_value exports);
bool DefineLiteral(napi_env env, napi_value exports);
bool DefinePoller(napi_env env, napi_value exports);

// Free what the Instance holds for each engine.
void ReleaseVectorscan(Instance* instance);
void ReleasePcre(Instance* instance);

bool ExportClass(napi_env env, napi_value exports, const char* name, napi_value constructor);
bool ExportInt(napi_env env, napi_value exports, const char* name, long long value);

}  // namespace drawbridge
