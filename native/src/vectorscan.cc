// Multi-pattern matching in block mode. A database numbers its distinct ids 0..n-1 ("slots") and gives the slot to
// Vectorscan, so that a match is an array index: deduplication costs O(matches) of the scan, never O(patterns).
#include <hs/hs.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "addon.h"
#include "args.h"

namespace drawbridge {

namespace {

struct Database {
  hs_database_t* db = nullptr;
  size_t bytes = 0;
  std::vector<uint32_t> ids;    // slot -> caller's id
  std::vector<uint32_t> stamp;  // slot -> epoch of the last scan that reported it
  uint32_t epoch = 0;
  ~Database() {
    if (db != nullptr) hs_free_database(db);
  }
};

// A serialised database: this header, the ids, the library's own bytes (which carry a version, platform and CRC).
struct FileHeader {
  char magic[4];
  uint32_t version;
  uint32_t ids;
  uint32_t reserved;
};
constexpr char kMagic[4] = {'D', 'B', 'H', 'S'};
constexpr uint32_t kFileVersion = 1;
constexpr size_t kMaxPatterns = 1 << 20;

struct Collector {
  Database* database;
  uint32_t* out;
  size_t room;
  size_t count;
  bool overflow;
};

int OnMatch(unsigned slot, unsigned long long, unsigned long long, unsigned, void* context) {
  Collector* c = static_cast<Collector*>(context);
  Database* d = c->database;
  if (slot >= d->stamp.size() || d->stamp[slot] == d->epoch) return 0;
  if (c->count == c->room) {
    c->overflow = true;
    return 1;  // nothing more can be reported: stop paying for the scan
  }
  d->stamp[slot] = d->epoch;
  c->out[c->count++] = d->ids[slot];
  return 0;
}

// Grows the thread's scratch so that it fits `db`.
bool PrepareScratch(napi_env env, hs_database_t* db) {
  Instance* instance = GetInstance(env);
  // In place: on failure the library may have freed the old one, and says so in the pointer.
  const hs_error_t rc = hs_alloc_scratch(db, &instance->hs_scratch_space);
  if (rc == HS_SUCCESS) return true;
  ThrowError(env, "cannot allocate Vectorscan scratch (error %d)", rc);
  return false;
}

void FinalizeDatabase(napi_env env, void* data, void*) {
  Database* database = static_cast<Database*>(data);
  int64_t now;
  napi_adjust_external_memory(env, -static_cast<int64_t>(database->bytes), &now);
  delete database;
}

// Takes ownership of `database`; nullptr with an exception pending on failure.
napi_value MakeObject(napi_env env, Database* database) {
  Instance* instance = GetInstance(env);
  napi_value constructor, object = nullptr;
  database->stamp.assign(database->ids.size(), 0);
  if (hs_database_size(database->db, &database->bytes) != HS_SUCCESS || !PrepareScratch(env, database->db)) {
    delete database;
    return nullptr;
  }
  instance->hs_pending = database;
  if (napi_get_reference_value(env, instance->hs_class, &constructor) != napi_ok ||
      napi_new_instance(env, constructor, 0, nullptr, &object) != napi_ok) {
    object = nullptr;
  }
  if (instance->hs_pending != nullptr) {  // the constructor did not adopt it
    instance->hs_pending = nullptr;
    delete database;
    return object == nullptr ? nullptr : ThrowError(env, "cannot construct HsDatabase");
  }
  return object;
}

napi_value Construct(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  Instance* instance = GetInstance(env);
  if (instance->hs_pending == nullptr) return ThrowType(env, "use HsDatabase.compile or HsDatabase.deserialize");
  Database* database = static_cast<Database*>(instance->hs_pending);
  if (napi_wrap(env, args.self, database, FinalizeDatabase, nullptr, nullptr) != napi_ok) return nullptr;
  instance->hs_pending = nullptr;
  int64_t now;
  napi_adjust_external_memory(env, static_cast<int64_t>(database->bytes), &now);
  return args.self;
}

bool GetMember(napi_env env, napi_value object, const char* key, napi_value* out) {
  if (napi_get_named_property(env, object, key, out) == napi_ok) return true;
  ThrowType(env, "a pattern must be an object with id, expression and flags");
  return false;
}

napi_value Compile(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  bool is_array = false;
  uint32_t count = 0;
  if (napi_is_array(env, args.v[0], &is_array) != napi_ok || !is_array) return ThrowType(env, "patterns must be an array");
  napi_get_array_length(env, args.v[0], &count);
  if (count == 0 || count > kMaxPatterns) return ThrowRange(env, "patterns must hold 1 to %zu entries", kMaxPatterns);

  constexpr int64_t kFlags = HS_FLAG_CASELESS | HS_FLAG_DOTALL | HS_FLAG_MULTILINE | HS_FLAG_SINGLEMATCH |
                             HS_FLAG_ALLOWEMPTY | HS_FLAG_PREFILTER;
  std::vector<std::string> text(count);
  std::vector<unsigned> flags(count), slots(count);
  std::unordered_map<uint32_t, unsigned> slot_of_id;
  Database* database = new Database();
  for (uint32_t i = 0; i < count; i++) {
    // A scope per pattern: handles of 30k patterns must not pile up until the call returns.
    napi_handle_scope scope;
    napi_open_handle_scope(env, &scope);
    napi_value pattern, id, expression, bits;
    int64_t id_value, flag_value;
    const bool ok = napi_get_element(env, args.v[0], i, &pattern) == napi_ok && GetMember(env, pattern, "id", &id) &&
                    GetMember(env, pattern, "expression", &expression) && GetMember(env, pattern, "flags", &bits) &&
                    GetInt(env, id, "id", 0, UINT32_MAX, &id_value) &&
                    GetLatin1(env, expression, "expression", false, &text[i]) &&
                    GetInt(env, bits, "flags", 0, kFlags, &flag_value);
    napi_close_handle_scope(env, scope);
    if (!ok) {
      delete database;
      return nullptr;
    }
    if ((flag_value & ~kFlags) != 0) {
      delete database;
      return ThrowErrorWith(env, "flags hold a bit that is no HS_FLAG_*", "pattern", i);
    }
    const auto [it, fresh] = slot_of_id.emplace(static_cast<uint32_t>(id_value), database->ids.size());
    if (fresh) database->ids.push_back(static_cast<uint32_t>(id_value));
    slots[i] = it->second;
    flags[i] = static_cast<unsigned>(flag_value);
  }
  std::vector<const char*> expressions(count);
  for (uint32_t i = 0; i < count; i++) expressions[i] = text[i].c_str();

  hs_compile_error_t* error = nullptr;
  const hs_error_t rc = hs_compile_multi(expressions.data(), flags.data(), slots.data(), count, HS_MODE_BLOCK, nullptr,
                                         &database->db, &error);
  if (rc != HS_SUCCESS) {
    const std::string message = error != nullptr ? error->message : "Vectorscan cannot compile the patterns";
    const int index = error != nullptr ? error->expression : -1;
    if (error != nullptr) hs_free_compile_error(error);
    delete database;
    return ThrowErrorWith(env, index < 0 ? message : "pattern " + std::to_string(index) + ": " + message, "pattern",
                          index);
  }
  return MakeObject(env, database);
}

napi_value Deserialize(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  Span<uint8_t> in;
  FileHeader header;
  if (!args.Bytes(0, "bytes", &in)) return nullptr;
  if (in.size < sizeof header) return ThrowError(env, "not a serialised HsDatabase: %zu bytes", in.size);
  memcpy(&header, in.data, sizeof header);
  const size_t ids_bytes = size_t{header.ids} * 4;
  if (memcmp(header.magic, kMagic, 4) != 0 || header.version != kFileVersion || header.ids == 0 ||
      header.ids > kMaxPatterns || in.size - sizeof header <= ids_bytes) {
    return ThrowError(env, "not a serialised HsDatabase");
  }
  Database* database = new Database();
  database->ids.resize(header.ids);
  memcpy(database->ids.data(), in.data + sizeof header, ids_bytes);
  const size_t skip = sizeof header + ids_bytes;
  // The library reads 32-bit words: give it an aligned copy, whatever the offset of the caller's view.
  std::vector<uint64_t> aligned((in.size - skip + 7) / 8);
  memcpy(aligned.data(), in.data + skip, in.size - skip);
  const hs_error_t rc =
      hs_deserialize_database(reinterpret_cast<const char*>(aligned.data()), in.size - skip, &database->db);
  if (rc != HS_SUCCESS) {
    database->db = nullptr;
    delete database;
    const char* why = rc == HS_DB_VERSION_ERROR    ? "made by another version of the library"
                      : rc == HS_DB_PLATFORM_ERROR ? "made for another CPU"
                      : rc == HS_NOMEM             ? "out of memory"
                                                   : "damaged";
    return ThrowError(env, "cannot load the HsDatabase: %s (error %d)", why, rc);
  }
  return MakeObject(env, database);
}

napi_value Serialize(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  Database* d = Unwrap<Database>(env, args.self);
  if (d == nullptr) return nullptr;
  char* bytes = nullptr;
  size_t length = 0;
  if (hs_serialize_database(d->db, &bytes, &length) != HS_SUCCESS) return ThrowError(env, "cannot serialise the HsDatabase");
  FileHeader header = {{kMagic[0], kMagic[1], kMagic[2], kMagic[3]}, kFileVersion, static_cast<uint32_t>(d->ids.size()), 0};
  const size_t ids_bytes = d->ids.size() * 4;
  const size_t total = sizeof header + ids_bytes + length;
  napi_value buffer, view = nullptr;
  void* data = nullptr;
  if (napi_create_arraybuffer(env, total, &data, &buffer) == napi_ok) {
    uint8_t* p = static_cast<uint8_t*>(data);
    memcpy(p, &header, sizeof header);
    memcpy(p + sizeof header, d->ids.data(), ids_bytes);
    memcpy(p + sizeof header + ids_bytes, bytes, length);
    napi_create_typedarray(env, napi_uint8_array, total, buffer, 0, &view);
  }
  free(bytes);
  return view;
}

napi_value Size(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  Database* d = Unwrap<Database>(env, args.self);
  return d == nullptr ? nullptr : MakeInt(env, static_cast<int64_t>(d->bytes));
}

napi_value Scan(napi_env env, napi_callback_info info) {
  Args<4> args(env, info);
  Database* d = Unwrap<Database>(env, args.self);
  Span<uint8_t> window;
  Span<uint32_t> out;
  if (d == nullptr || !args.Window(0, &window) || !GetUint32Array(env, args.v[3], "out", &out)) return nullptr;
  if (window.size > UINT32_MAX) return ThrowRange(env, "len must be below 4 GiB");
  if (++d->epoch == 0) {  // the counter wrapped: old stamps would look current
    std::fill(d->stamp.begin(), d->stamp.end(), 0);
    d->epoch = 1;
  }
  static const char kNothing = 0;  // an empty view may have no address, which the library refuses
  const char* data = window.size == 0 ? &kNothing : reinterpret_cast<const char*>(window.data);
  Collector collector = {d, out.data, out.size, 0, false};
  const hs_error_t rc = hs_scan(d->db, data, static_cast<unsigned>(window.size), 0,
                                GetInstance(env)->hs_scratch_space, OnMatch, &collector);
  if (rc != HS_SUCCESS && rc != HS_SCAN_TERMINATED) return ThrowError(env, "Vectorscan scan failed (error %d)", rc);
  return MakeInt(env, collector.overflow ? -1 : static_cast<int64_t>(collector.count));
}

}  // namespace

napi_value HsVersionCall(napi_env env, napi_callback_info) {
  hs_platform_info_t platform;
  memset(&platform, 0, sizeof platform);
  hs_populate_platform(&platform);
  char text[192];
  snprintf(text, sizeof text, "%s cpu=%llx tune=%u", hs_version(), platform.cpu_features, platform.tune);
  return MakeString(env, text);
}

bool DefineVectorscan(napi_env env, napi_value exports, Instance* instance) {
  const napi_property_descriptor members[] = {
      {"compile", nullptr, Compile, nullptr, nullptr, nullptr, napi_static, nullptr},
      {"deserialize", nullptr, Deserialize, nullptr, nullptr, nullptr, napi_static, nullptr},
      {"serialize", nullptr, Serialize, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"scan", nullptr, Scan, nullptr, nullptr, nullptr, napi_default_method, nullptr},
      {"size", nullptr, nullptr, Size, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_value cls;
  return napi_define_class(env, "HsDatabase", NAPI_AUTO_LENGTH, Construct, nullptr, sizeof members / sizeof *members,
                           members, &cls) == napi_ok &&
         napi_create_reference(env, cls, 1, &instance->hs_class) == napi_ok &&
         ExportClass(env, exports, "HsDatabase", cls) && ExportInt(env, exports, "HS_FLAG_CASELESS", HS_FLAG_CASELESS) &&
         ExportInt(env, exports, "HS_FLAG_DOTALL", HS_FLAG_DOTALL) &&
         ExportInt(env, exports, "HS_FLAG_MULTILINE", HS_FLAG_MULTILINE) &&
         ExportInt(env, exports, "HS_FLAG_SINGLEMATCH", HS_FLAG_SINGLEMATCH) &&
         ExportInt(env, exports, "HS_FLAG_ALLOWEMPTY", HS_FLAG_ALLOWEMPTY) &&
         ExportInt(env, exports, "HS_FLAG_PREFILTER", HS_FLAG_PREFILTER);
}

void ReleaseVectorscan(Instance* instance) {
  if (instance->hs_scratch_space != nullptr) hs_free_scratch(instance->hs_scratch_space);
  instance->hs_scratch_space = nullptr;
}

}  // namespace drawbridge
