// Text and memory.

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootsplice.h"

void *bs_alloc(size_t size) {
  void *memory = calloc(1, size ? size : 1);
  // The host ends the run with its limit's name anyhow.
  if (!memory) abort();
  return memory;
}

bs_str bs_text(const char *nul_terminated) { return (bs_str){nul_terminated, strlen(nul_terminated)}; }

bool bs_equal(bs_str one, bs_str other) { return one.len == other.len && (!one.len || !memcmp(one.ptr, other.ptr, one.len)); }

bool bs_starts(bs_str text, bs_str with) { return text.len >= with.len && bs_equal((bs_str){text.ptr, with.len}, with); }

void bs_add(bs_buffer *to, bs_str text) {
  if (to->room - to->len < text.len) {
    size_t room = (to->len + text.len) * 2 + 64;
    char *ptr = bs_alloc(room);
    if (to->len) memcpy(ptr, to->ptr, to->len);
    free(to->ptr);
    to->ptr = ptr;
    to->room = room;
  }
  if (text.len) memcpy(to->ptr + to->len, text.ptr, text.len);
  to->len += text.len;
}

bs_str bs_made(const bs_buffer *buffer) { return (bs_str){buffer->ptr, buffer->len}; }

bs_str bs_format_list(const char *format, va_list values) {
  va_list again;
  va_copy(again, values);
  int size = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (size < 0) return BS("(a text that printf cannot make)");
  char *text = bs_alloc((size_t)size + 1);
  vsnprintf(text, (size_t)size + 1, format, values);
  return (bs_str){text, (size_t)size};
}

bs_str bs_format(const char *format, ...) {
  va_list values;
  va_start(values, format);
  bs_str text = bs_format_list(format, values);
  va_end(values);
  return text;
}
