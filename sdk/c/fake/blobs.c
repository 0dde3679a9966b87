// Blobs in the test's own memory.

#include <string.h>

#include "internal.h"

#define MAX_BLOBS 8192
#define MAX_READ (1 << 20)
#define MAX_WRITE (256 << 10)

typedef bootsplice_generator_blobs_borrow_blob_t blob;
typedef bootsplice_generator_blobs_borrow_blob_builder_t builder;

static bs_str blobs[MAX_BLOBS];
static bs_buffer builders[MAX_BLOBS];
static bool spent[MAX_BLOBS];
static int32_t blob_count, builder_count;

void fake_blobs_reset(void) { blob_count = builder_count = 0; }

bool fake_blob_new(bs_str content, int32_t *handle, raw_error *failed) {
  if (!fake_take(BOOTSPLICE_GENERATOR_TYPES_QUOTA_HANDLES, 1, failed)) return false;
  blobs[blob_count] = content;
  *handle = ++blob_count;
  return true;
}

bs_str fake_blob_of(int32_t handle) { return blobs[handle - 1]; }

uint64_t bootsplice_generator_blobs_method_blob_size(blob self) { return fake_blob_of(self.__handle).len; }

// SHA-256: FIPS 180-4.
static uint32_t turned(uint32_t word, int by) { return word >> by | word << (32 - by); }

static void sha256(bs_str text, uint8_t sum[32]) {
  static const uint32_t constants[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
      0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
      0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
      0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
      0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
      0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  size_t padded = (text.len + 9 + 63) / 64 * 64;
  uint8_t *bytes = bs_alloc(padded);
  if (text.len) memcpy(bytes, text.ptr, text.len);
  bytes[text.len] = 0x80;
  for (int at = 0; at < 8; at++) bytes[padded - 1 - at] = (uint8_t)((uint64_t)text.len * 8 >> 8 * at);
  for (size_t from = 0; from < padded; from += 64) {
    uint32_t words[64], now[8];
    for (size_t at = 0; at < 16; at++) {
      const uint8_t *four = bytes + from + 4 * at;
      words[at] = (uint32_t)four[0] << 24 | (uint32_t)four[1] << 16 | (uint32_t)four[2] << 8 | four[3];
    }
    for (size_t at = 16; at < 64; at++) {
      uint32_t low = words[at - 15], high = words[at - 2];
      words[at] = words[at - 16] + (turned(low, 7) ^ turned(low, 18) ^ low >> 3) + words[at - 7] + (turned(high, 17) ^ turned(high, 19) ^ high >> 10);
    }
    memcpy(now, state, sizeof now);
    for (size_t at = 0; at < 64; at++) {
      uint32_t first = now[7] + (turned(now[4], 6) ^ turned(now[4], 11) ^ turned(now[4], 25)) + ((now[4] & now[5]) ^ (~now[4] & now[6])) +
                       constants[at] + words[at];
      uint32_t second = (turned(now[0], 2) ^ turned(now[0], 13) ^ turned(now[0], 22)) + ((now[0] & now[1]) ^ (now[0] & now[2]) ^ (now[1] & now[2]));
      memmove(now + 1, now, 7 * sizeof *now);
      now[4] += first;
      now[0] = first + second;
    }
    for (size_t at = 0; at < 8; at++) state[at] += now[at];
  }
  for (size_t at = 0; at < 32; at++) sum[at] = (uint8_t)(state[at / 4] >> 8 * (3 - at % 4));
}

void bootsplice_generator_blobs_method_blob_digest(blob self, bootsplice_generator_blobs_digest_t *digest) {
  uint8_t sum[32];
  sha256(fake_blob_of(self.__handle), sum);
  bs_buffer made = {0};
  bs_add(&made, BS("sha256:"));
  for (size_t at = 0; at < sizeof sum; at++) bs_add(&made, bs_format("%02x", sum[at]));
  *digest = bs_lend(bs_made(&made));
}

bool bootsplice_generator_blobs_method_blob_read(blob self, uint64_t offset, uint32_t len, plugin_list_u8_t *into, raw_error *failed) {
  (void)failed;
  bs_str held = fake_blob_of(self.__handle);
  size_t from = offset < held.len ? (size_t)offset : held.len;
  size_t most = len < MAX_READ ? len : MAX_READ;
  *into = (plugin_list_u8_t){(uint8_t *)(uintptr_t)(held.ptr + from), held.len - from < most ? held.len - from : most};
  return true;
}

bootsplice_generator_blobs_own_blob_builder_t bootsplice_generator_blobs_constructor_blob_builder(void) {
  builders[builder_count] = (bs_buffer){0};
  spent[builder_count] = false;
  return (bootsplice_generator_blobs_own_blob_builder_t){++builder_count};
}

bool bootsplice_generator_blobs_method_blob_builder_write(builder self, plugin_list_u8_t *data, raw_error *failed) {
  if (!fake_only_in("blob-builder", true, failed)) return false;
  if (data->len > MAX_WRITE) return fake_fail(failed, BS_UNSUPPORTED, "a write of %zu bytes; %d are allowed in one call", data->len, MAX_WRITE);
  if (spent[self.__handle - 1]) return fake_fail(failed, BS_UNSUPPORTED, "the builder is finished already");
  if (!fake_take(SCRATCH, data->len, failed)) return false;
  bs_add(&builders[self.__handle - 1], (bs_str){(const char *)data->ptr, data->len});
  return true;
}

bool bootsplice_generator_blobs_method_blob_builder_finish(builder self, bootsplice_generator_blobs_own_blob_t *made, raw_error *failed) {
  if (spent[self.__handle - 1]) return fake_fail(failed, BS_UNSUPPORTED, "the builder is finished already");
  spent[self.__handle - 1] = true;
  return fake_blob_new(bs_made(&builders[self.__handle - 1]), &made->__handle, failed);
}

bool bootsplice_generator_inventory_read_file(plugin_string_t *name, bootsplice_generator_inventory_own_blob_t *content) {
  (void)name, (void)content;
  return false;
}
