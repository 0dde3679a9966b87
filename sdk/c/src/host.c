// What a generator calls of the host, besides the sink.

#include <string.h>

#include "internal.h"

#define MAX_SIZE ((uint64_t)4 << 30)

static bootsplice_generator_blobs_borrow_blob_t borrow(bs_blob blob) {
  return (bootsplice_generator_blobs_borrow_blob_t){blob.handle};
}

void bs_log(bs_level level, const char *format, ...) {
  va_list values;
  va_start(values, format);
  plugin_string_t message = bs_lend(bs_format_list(format, values));
  va_end(values);
  plugin_list_tuple2_string_string_t none = {NULL, 0};
  bootsplice_generator_job_log((uint8_t)level, &message, &none);
}

bool bs_is_cancelled(void) { return bootsplice_generator_job_is_cancelled(); }

bs_error *bs_fetch(bs_request request, bs_blob *content) {
  plugin_string_t url = bs_lend(request.url);
  bs_str digest = request.digest;
  if (digest.len && !memchr(digest.ptr, ':', digest.len)) digest = bs_format("sha256:%.*s", BS_ARG(digest));
  bootsplice_generator_fetch_request_t raw = {
      .urls = {&url, 1},
      .digest = {digest.len > 0, bs_lend(digest)},
      .max_size = request.max_size ? request.max_size : MAX_SIZE,
      .credential = {request.credential.len > 0, bs_lend(request.credential)},
  };
  bootsplice_generator_fetch_response_t response;
  raw_error failed;
  if (!bootsplice_generator_fetch_get(&raw, &response, &failed)) return bs_of_error(&failed);
  content->handle = response.content.__handle;
  return NULL;
}

bs_error *bs_pin_source(bs_str name, const bs_json *source, bs_pin *pin, bs_blob *content) {
  bs_str none = {0};
  *pin = (bs_pin){.name = name, .url = bs_string(bs_get(source, "url"), none), .credential = bs_string(bs_get(source, "credential"), none)};
  BS_TRY(bs_fetch((bs_request){pin->url, bs_string(bs_get(source, "sha256"), none), 0, pin->credential}, content));
  pin->digest = bs_blob_digest(*content);
  pin->size = bs_blob_size(*content);
  return NULL;
}

bs_error *bs_open_pin(const bs_locked *locked, bs_str name, bs_blob *content) {
  for (size_t at = 0; at < locked->pin_count; at++) {
    const bs_pin *pin = &locked->pins[at];
    if (bs_equal(pin->name, name)) return bs_fetch((bs_request){pin->url, pin->digest, pin->size, pin->credential}, content);
  }
  return bs_error_new(BS_NOT_FOUND, "the lock file has no pin `%.*s`: it was made for another configuration; resolve again", BS_ARG(name));
}

uint64_t bs_blob_size(bs_blob blob) { return bootsplice_generator_blobs_method_blob_size(borrow(blob)); }

bs_str bs_blob_digest(bs_blob blob) {
  plugin_string_t digest;
  bootsplice_generator_blobs_method_blob_digest(borrow(blob), &digest);
  return bs_of(digest);
}

bs_error *bs_blob_text(bs_blob blob, uint64_t limit, bs_str *text) {
  uint64_t size = bs_blob_size(blob);
  if (size > limit) {
    return bs_error_new(BS_UNSUPPORTED, "%llu bytes where at most %llu are read at once", (unsigned long long)size, (unsigned long long)limit);
  }
  bs_buffer made = {0};
  while (made.len < size) {
    plugin_list_u8_t piece;
    raw_error failed;
    if (!bootsplice_generator_blobs_method_blob_read(borrow(blob), made.len, 1 << 20, &piece, &failed)) return bs_of_error(&failed);
    if (!piece.len) return bs_fault("a blob ended before its size");
    bs_add(&made, (bs_str){(const char *)piece.ptr, piece.len});
  }
  *text = bs_made(&made);
  return NULL;
}

bs_error *bs_blob_new(bs_str content, bs_blob *made) {
  bootsplice_generator_blobs_own_blob_builder_t builder = bootsplice_generator_blobs_constructor_blob_builder();
  bootsplice_generator_blobs_borrow_blob_builder_t self = {builder.__handle};
  raw_error failed;
  for (size_t at = 0; at < content.len;) {
    size_t len = content.len - at < 256 << 10 ? content.len - at : 256 << 10;
    plugin_list_u8_t piece = {(uint8_t *)(uintptr_t)(content.ptr + at), len};
    if (!bootsplice_generator_blobs_method_blob_builder_write(self, &piece, &failed)) return bs_of_error(&failed);
    at += len;
  }
  bootsplice_generator_blobs_own_blob_t blob;
  if (!bootsplice_generator_blobs_method_blob_builder_finish(self, &blob, &failed)) return bs_of_error(&failed);
  made->handle = blob.__handle;
  return NULL;
}

bool bs_inventory(bs_str name, bs_blob *content) {
  plugin_string_t raw = bs_lend(name);
  bootsplice_generator_blobs_own_blob_t blob;
  if (!bootsplice_generator_inventory_read_file(&raw, &blob)) return false;
  content->handle = blob.__handle;
  return true;
}
