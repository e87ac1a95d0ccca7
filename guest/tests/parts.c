// Lets a test ask parts of the driver: one question a line, one answer a line (test/unit/guest/parts.test.ts).
//   sha SIZE SEED        SHA-256 of SIZE bytes (byte i = i * 7 + SEED), fed in pieces of odd lengths
//   hmac KEY TEXT        HMAC-SHA256
//   match PATTERN PATH   1 or 0
//   type HEX             name of the file type
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../driver.h"

void die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  exit(1);
}

static void print_hex(const uint8_t *bytes, int n) {
  for (int i = 0; i < n; i++) printf("%02x", bytes[i]);
  putchar('\n');
}

int main(void) {
  static char line[16384], word[4][4096];
  uint8_t digest[SHA256_BYTES];
  while (fgets(line, sizeof line, stdin) != NULL) {
    memset(word, 0, sizeof word);
    sscanf(line, "%4095s %4095s %4095s", word[0], word[1], word[2]);
    if (strcmp(word[0], "sha") == 0) {
      const size_t size = strtoul(word[1], NULL, 10);
      const uint8_t seed = (uint8_t)strtoul(word[2], NULL, 10);
      uint8_t *data = malloc(size + 1);
      for (size_t i = 0; i < size; i++) data[i] = (uint8_t)(i * 7 + seed);
      struct sha256 s;
      sha256_init(&s);
      for (size_t at = 0, piece = 1; at < size; at += piece, piece = piece * 3 % 1021 + 1) {
        if (piece > size - at) piece = size - at;
        sha256_update(&s, data + at, piece);
      }
      sha256_final(&s, digest);
      free(data);
      print_hex(digest, SHA256_BYTES);
    } else if (strcmp(word[0], "hmac") == 0) {
      const struct iovec part = {word[2], strlen(word[2])};
      hmac_sha256(word[1], &part, 1, digest);
      print_hex(digest, SHA256_BYTES);
    } else if (strcmp(word[0], "match") == 0) {
      puts(pattern_matches(word[1], word[2]) ? "1" : "0");
    } else if (strcmp(word[0], "type") == 0) {
      uint8_t head[8];
      size_t n = 0;
      for (unsigned byte; n < sizeof head && sscanf(word[1] + 2 * n, "%2x", &byte) == 1; n++) head[n] = (uint8_t)byte;
      puts(file_type(head, n));
    }
  }
  return 0;
}
