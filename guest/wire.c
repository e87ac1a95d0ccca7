// Frames: building them in the caller's memory, reading the fields of one that arrived. Network byte order.
#include <string.h>

#include "driver.h"

void frame_start(struct frame *f, uint8_t type, uint8_t flags, uint32_t id) {
  f->length = 0;
  put_u32(f, 0);
  put_u8(f, type);
  put_u8(f, flags);
  put_u16(f, 0);
  put_u32(f, id);
}

void frame_finish(struct frame *f) {
  const size_t n = f->length;
  f->length = 0;
  put_u32(f, (uint32_t)n);
  f->length = n;
}

// Callers size their buffers for the longest frame they build; a field that would not fit is a mistake in this program.
void put_bytes(struct frame *f, const void *data, size_t n) {
  if (n > f->capacity - f->length) die("frame longer than its buffer");
  memcpy(f->buf + f->length, data, n);
  f->length += n;
}

void put_u8(struct frame *f, uint8_t v) { put_bytes(f, &v, 1); }

void put_u16(struct frame *f, uint16_t v) {
  const uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
  put_bytes(f, b, 2);
}

void put_u32(struct frame *f, uint32_t v) {
  const uint32_t b = __builtin_bswap32(v);
  put_bytes(f, &b, 4);
}

void put_u64(struct frame *f, uint64_t v) {
  const uint64_t b = __builtin_bswap64(v);
  put_bytes(f, &b, 8);
}

void put_text(struct frame *f, const char *text, size_t limit) {
  const size_t n = strnlen(text, limit);
  put_u16(f, (uint16_t)n);
  put_bytes(f, text, n);
}

static void store64(uint8_t *out, uint64_t v) {
  v = __builtin_bswap64(v);
  memcpy(out, &v, 8);
}

void identity_of(const struct stat *st, uint8_t out[IDENTITY_BYTES]) {
  store64(out, st->st_dev);
  store64(out + 8, st->st_ino);
  store64(out + 16, (uint64_t)st->st_size);
  store64(out + 24, (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec);
  store64(out + 32, (uint64_t)st->st_ctim.tv_sec * 1000000000u + (uint64_t)st->st_ctim.tv_nsec);
  store64(out + 40, 0);  // Linux shows no change counter to programs
}

void put_meta(struct frame *f, const struct stat *st) {
  uint8_t identity[IDENTITY_BYTES];
  identity_of(st, identity);
  put_bytes(f, identity, sizeof identity);
  put_u32(f, st->st_mode);
  put_u32(f, st->st_uid);
  put_u32(f, st->st_gid);
  put_u32(f, (uint32_t)st->st_nlink);
}

const uint8_t *get_bytes(struct reader *r, size_t n) {
  static const uint8_t zeros[64];
  if (r->bad || n > (size_t)(r->end - r->at)) {
    r->bad = true;
    return n <= sizeof zeros ? zeros : NULL;
  }
  const uint8_t *p = r->at;
  r->at += n;
  return p;
}

uint8_t get_u8(struct reader *r) { return *get_bytes(r, 1); }

uint16_t get_u16(struct reader *r) {
  const uint8_t *p = get_bytes(r, 2);
  return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t get_u32(struct reader *r) {
  uint32_t v;
  memcpy(&v, get_bytes(r, 4), 4);
  return __builtin_bswap32(v);
}

uint64_t get_u64(struct reader *r) {
  uint64_t v;
  memcpy(&v, get_bytes(r, 8), 8);
  return __builtin_bswap64(v);
}

void get_text(struct reader *r, char *out, size_t limit) {
  const size_t n = get_u16(r);
  out[0] = 0;
  if (n > limit) r->bad = true;
  if (r->bad) return;
  const uint8_t *p = get_bytes(r, n);
  if (r->bad) return;
  if (memchr(p, 0, n) != NULL) {
    r->bad = true;
    return;
  }
  memcpy(out, p, n);
  out[n] = 0;
}
