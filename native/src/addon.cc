// Registration. The module is context-aware: all state hangs off the environment it was loaded into.
#include "addon.h"

#include "args.h"

namespace drawbridge {

Instance* GetInstance(napi_env env) {
  void* p = nullptr;
  napi_get_instance_data(env, &p);
  return static_cast<Instance*>(p);
}

bool ExportClass(napi_env env, napi_value exports, const char* name, napi_value constructor) {
  return SetProperty(env, exports, name, constructor);
}

bool ExportInt(napi_env env, napi_value exports, const char* name, long long value) {
  return SetProperty(env, exports, name, MakeInt(env, value));
}

namespace {

void DeleteInstance(napi_env, void* data, void*) {
  Instance* instance = static_cast<Instance*>(data);
  ReleaseVectorscan(instance);
  ReleasePcre(instance);
  delete instance;
}

bool ExportFunction(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value fn;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &fn) == napi_ok &&
         SetProperty(env, exports, name, fn);
}

}  // namespace
}  // namespace drawbridge

NAPI_MODULE_INIT() {
  using namespace drawbridge;
  Instance* instance = new Instance();
  if (napi_set_instance_data(env, instance, DeleteInstance, nullptr) != napi_ok) {
    delete instance;
    return ThrowError(env, "cannot attach the addon to this environment");
  }
  const bool ok = ExportFunction(env, exports, "checksum", ChecksumCall) &&
                  ExportFunction(env, exports, "adviseHugePages", AdviseHugePagesCall) &&
                  ExportFunction(env, exports, "segment", SegmentCall) &&
                  ExportFunction(env, exports, "openTap", OpenTapCall) &&
                  ExportFunction(env, exports, "openPacket", OpenPacketCall) &&
                  ExportFunction(env, exports, "openUnix", OpenUnixCall) &&
                  ExportFunction(env, exports, "configureInterface", ConfigureInterfaceCall) &&
                  ExportFunction(env, exports, "closeFd", CloseFdCall) &&
                  ExportFunction(env, exports, "wakeFd", WakeFdCall) &&
                  ExportFunction(env, exports, "dropPrivileges", DropPrivilegesCall) &&
                  ExportFunction(env, exports, "listenUnix", ListenUnixCall) &&
                  ExportFunction(env, exports, "listenVsock", ListenVsockCall) &&
                  ExportFunction(env, exports, "acceptSocket", AcceptSocketCall) &&
                  ExportFunction(env, exports, "receiveSocket", ReceiveSocketCall) &&
                  ExportFunction(env, exports, "sendSocket", SendSocketCall) &&
                  ExportFunction(env, exports, "readCached", ReadCachedCall) && DefinePoller(env, exports) &&
                  ExportFunction(env, exports, "hsVersion", HsVersionCall) && DefineIoLoop(env, exports) &&
                  DefineVectorscan(env, exports, instance) && DefinePcre(env, exports) &&
                  DefineInflate(env, exports) && DefineLiteral(env, exports);
  if (!ok) return ThrowError(env, "cannot define the addon's exports");
  return exports;
}
