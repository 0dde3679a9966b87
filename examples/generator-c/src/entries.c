#include <arpa/inet.h>
#include <string.h>

#include "hosts.h"

bool is_address(bs_str text) {
  char nul_terminated[INET6_ADDRSTRLEN];
  unsigned char bytes[16];
  if (!text.len || text.len >= sizeof nul_terminated || memchr(text.ptr, 0, text.len)) return false;
  memcpy(nul_terminated, text.ptr, text.len);
  nul_terminated[text.len] = 0;
  return inet_pton(AF_INET, nul_terminated, bytes) == 1 || inet_pton(AF_INET6, nul_terminated, bytes) == 1;
}

static bool is_letter(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9');
}

bool is_name(bs_str text) {
  if (!text.len || text.len > 253) return false;
  size_t label = 0;
  for (size_t at = 0; at <= text.len; at++) {
    if (at == text.len || text.ptr[at] == '.') {
      if (!label || label > 63 || text.ptr[at - 1] == '-') return false;
      label = 0;
    } else {
      if (!is_letter(text.ptr[at]) && (text.ptr[at] != '-' || !label)) return false;
      label++;
    }
  }
  return true;
}

// The next word of a line, which shrinks by it. Empty at the end.
static bs_str next_word(bs_str *line) {
  size_t from = 0;
  while (from < line->len && strchr(" \t\r", line->ptr[from])) from++;
  size_t to = from;
  while (to < line->len && !strchr(" \t\r", line->ptr[to])) to++;
  bs_str word = {line->ptr + from, to - from};
  *line = (bs_str){line->ptr + to, line->len - to};
  return word;
}

static bs_error *add_line(bs_str line, size_t number, const bs_json *at, bs_buffer *to, size_t *count) {
  const char *comment = line.len ? memchr(line.ptr, '#', line.len) : NULL;
  if (comment) line.len = (size_t)(comment - line.ptr);
  bs_str address = next_word(&line);
  if (!address.len) return NULL;
  if (!is_address(address)) return bs_config_error(at, "line %zu: `%.*s` is no address", number, BS_ARG(address));
  bs_add(to, address);
  size_t names = 0;
  for (bs_str name = next_word(&line); name.len; name = next_word(&line), names++) {
    if (!is_name(name)) return bs_config_error(at, "line %zu: `%.*s` is no host's name", number, BS_ARG(name));
    bs_add(to, names ? BS(" ") : BS("\t"));
    bs_add(to, name);
  }
  if (!names) return bs_config_error(at, "line %zu: %.*s has no name", number, BS_ARG(address));
  bs_add(to, BS("\n"));
  ++*count;
  return NULL;
}

bs_error *add_entries(bs_str text, const bs_json *at, bs_buffer *to, size_t *count) {
  // No hosts file holds one: what was fetched is something else.
  BS_CHECK(!text.len || !memchr(text.ptr, 0, text.len));
  size_t number = 1;
  while (text.len) {
    const char *end = memchr(text.ptr, '\n', text.len);
    bs_str line = {text.ptr, end ? (size_t)(end - text.ptr) : text.len};
    BS_TRY(add_line(line, number++, at, to, count));
    size_t used = line.len + (end ? 1 : 0);
    text = (bs_str){text.ptr + used, text.len - used};
  }
  return NULL;
}
