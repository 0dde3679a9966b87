// Paths in a guest, as the host checks them.

#include <string.h>

#include "internal.h"

static const char *segment_fault(bs_str segment) {
  if (!segment.len) return "an empty segment (`//`, or a `/` at the end)";
  if (bs_equal(segment, BS(".")) || bs_equal(segment, BS(".."))) return "a `.` or `..` segment";
  if (segment.len > 255) return "a segment longer than 255 bytes";
  for (size_t at = 0; at < segment.len; at++) {
    unsigned char letter = (unsigned char)segment.ptr[at], next = at + 1 < segment.len ? (unsigned char)segment.ptr[at + 1] : 0;
    unsigned char third = at + 2 < segment.len ? (unsigned char)segment.ptr[at + 2] : 0;
    if (letter < 0x20 || letter == 0x7f || (letter == 0xc2 && next >= 0x80 && next < 0xa0)) return "a control character";
    // U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069.
    bool reverses = letter == 0xe2 && ((next == 0x80 && (third == 0x8e || third == 0x8f || (third >= 0xaa && third <= 0xae))) ||
                                       (next == 0x81 && third >= 0xa6 && third <= 0xa9));
    if (reverses) return "a character that reverses the direction of text";
  }
  return NULL;
}

static bs_str cut(bs_str *text) {
  const char *slash = text->len ? memchr(text->ptr, '/', text->len) : NULL;
  bs_str first = {text->ptr, slash ? (size_t)(slash - text->ptr) : text->len};
  *text = slash ? (bs_str){slash + 1, text->len - first.len - 1} : (bs_str){NULL, 0};
  return first;
}

const char *fake_path_fault(bs_str path) {
  if (path.len > 4096) return "longer than 4096 bytes";
  bs_str below = path;
  if (bs_starts(path, BS("~"))) {
    bs_str user = cut(&below);
    if (!below.ptr) return "a home is `~user/…`";
    if (!fake_is_user((bs_str){user.ptr + 1, user.len - 1})) return "the user's name after `~` is not valid";
  } else if (bs_starts(path, BS("/"))) {
    cut(&below);
  } else {
    return "start it with `/` or `~user/`";
  }
  do {
    const char *fault = segment_fault(cut(&below));
    if (fault) return fault;
  } while (below.ptr);
  return NULL;
}

const char *fake_link_fault(bs_str link, bs_str to) {
  if (!to.len || to.len >= 4096) return "a link's target has 1 to 4095 bytes";
  if (to.ptr[0] == '/' || to.ptr[0] == '~') return "a link's target is relative";
  long depth = -1;
  for (size_t at = 0; at < link.len; at++) depth += link.ptr[at] == '/';
  do {
    bs_str segment = cut(&to);
    if (bs_equal(segment, BS(".."))) {
      if (--depth < 0) return "it leads out of its root";
    } else if (segment.len && !bs_equal(segment, BS("."))) {
      const char *fault = segment_fault(segment);
      if (fault) return fault;
      depth++;
    }
  } while (to.ptr);
  return NULL;
}

bool fake_is_user(bs_str name) {
  if (!name.len || name.len > 32) return false;
  for (size_t at = 0; at < name.len; at++) {
    char letter = name.ptr[at];
    bool is_word = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') || letter == '_';
    bool is_inner = at && (letter == '-' || letter == '.' || (letter == '$' && at + 1 == name.len));
    if (!is_word && !is_inner) return false;
  }
  return true;
}
