// Dispositions by file identity: a fixed table, four places per hash, the oldest of the four gives way. Serves two
// purposes: answers that the appliance allowed to repeat, and the "last-good" failure policy, which may use any.
#include <string.h>

#include "driver.h"

#define BUCKETS 1024  // 4096 files: 256 KiB
#define WAYS 4

struct known {
  uint8_t identity[IDENTITY_BYTES];
  uint32_t age;
  uint8_t verdict;  // 0: empty place
  bool repeat;
};

static struct known table[BUCKETS][WAYS];
static uint64_t seed;
static uint32_t clock_hand;

void remember_init(void) {
  // A guest that knew the seed could make its files share a bucket: no harm but a smaller cache. Time is enough.
  seed = now_us() * 0x9e3779b97f4a7c15u;
}

static struct known *bucket_of(const uint8_t identity[IDENTITY_BYTES]) {
  uint64_t h = seed;
  for (int i = 0; i < IDENTITY_BYTES; i += 8) {
    uint64_t part;
    memcpy(&part, identity + i, 8);
    h = (h ^ part) * 0xff51afd7ed558ccdu;
    h ^= h >> 32;
  }
  return table[h % BUCKETS];
}

static struct known *find(const uint8_t identity[IDENTITY_BYTES]) {
  struct known *bucket = bucket_of(identity);
  for (int i = 0; i < WAYS; i++) {
    if (bucket[i].verdict != 0 && memcmp(bucket[i].identity, identity, IDENTITY_BYTES) == 0) return &bucket[i];
  }
  return NULL;
}

void remember_put(const uint8_t identity[IDENTITY_BYTES], uint8_t verdict, bool repeat) {
  struct known *place = find(identity);
  if (place == NULL) {
    struct known *bucket = place = bucket_of(identity);
    for (int i = 1; i < WAYS && place->verdict != 0; i++) {
      if (bucket[i].verdict == 0 || bucket[i].age < place->age) place = &bucket[i];
    }
    memcpy(place->identity, identity, IDENTITY_BYTES);
  }
  place->age = ++clock_hand;
  place->verdict = verdict;
  place->repeat = repeat;
}

uint8_t remember_get(const uint8_t identity[IDENTITY_BYTES], bool repeat_only) {
  struct known *k = find(identity);
  if (k == NULL || (repeat_only && !k->repeat)) return 0;
  k->age = ++clock_hand;
  return k->verdict;
}

void remember_drop(const uint8_t identity[IDENTITY_BYTES]) {
  struct known *k = find(identity);
  if (k != NULL) k->verdict = 0;
}

void remember_stale(void) {
  for (int b = 0; b < BUCKETS; b++) {
    for (int i = 0; i < WAYS; i++) table[b][i].repeat = false;
  }
}
