// JSON (RFC 8259), whole documents of at most 64 levels, and pointers into them (RFC 6901).

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bootsplice.h"

#define MAX_DEPTH 64

typedef struct {
  bs_str text;
  size_t at;
  const char *fault;
} reader;

static bool value(reader *in, bs_json *into, int depth);

static void space(reader *in) {
  while (in->at < in->text.len && memchr(" \t\r\n", in->text.ptr[in->at], 4)) in->at++;
}

static bool fail(reader *in, const char *fault) {
  if (!in->fault) in->fault = fault;
  return false;
}

static int peek(const reader *in) { return in->at < in->text.len ? (unsigned char)in->text.ptr[in->at] : -1; }

static bool take(reader *in, char wanted) {
  if (peek(in) != wanted) return false;
  in->at++;
  return true;
}

static bool word(reader *in, const char *wanted) {
  size_t len = strlen(wanted);
  if (in->text.len - in->at < len || memcmp(in->text.ptr + in->at, wanted, len)) return fail(in, "no value");
  in->at += len;
  return true;
}

static bool hex(reader *in, uint32_t *unit) {
  *unit = 0;
  for (int digit = 0; digit < 4; digit++) {
    int letter = peek(in);
    int half = letter >= '0' && letter <= '9' ? letter - '0' : (letter | 32) >= 'a' && (letter | 32) <= 'f' ? (letter | 32) - 'a' + 10 : -1;
    if (half < 0) return fail(in, "`\\u` without four hex digits");
    *unit = *unit << 4 | (uint32_t)half;
    in->at++;
  }
  return true;
}

static void add_letter(bs_buffer *to, uint32_t code) {
  char bytes[4];
  size_t len = 1;
  if (code < 0x80) {
    bytes[0] = (char)code;
  } else if (code < 0x800) {
    bytes[0] = (char)(0xc0 | code >> 6);
    len = 2;
  } else if (code < 0x10000) {
    bytes[0] = (char)(0xe0 | code >> 12);
    len = 3;
  } else {
    bytes[0] = (char)(0xf0 | code >> 18);
    len = 4;
  }
  for (size_t at = 1; at < len; at++) bytes[at] = (char)(0x80 | (code >> 6 * (len - 1 - at) & 0x3f));
  bs_add(to, (bs_str){bytes, len});
}

static bool escape(reader *in, bs_buffer *to) {
  static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
  int letter = peek(in);
  in->at++;
  if (letter == 'u') {
    uint32_t code, low;
    if (!hex(in, &code)) return false;
    if (code >= 0xd800 && code < 0xdc00) {
      if (!take(in, '\\') || !take(in, 'u') || !hex(in, &low) || low < 0xdc00 || low > 0xdfff) return fail(in, "half a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
      return fail(in, "half a surrogate pair");
    }
    add_letter(to, code);
    return true;
  }
  const char *found = letter > 0 ? strchr(names, letter) : NULL;
  if (!found) return fail(in, "an unknown escape");
  bs_add(to, (bs_str){means + (found - names), 1});
  return true;
}

static bool string(reader *in, bs_str *into) {
  if (!take(in, '"')) return fail(in, "no string");
  bs_buffer made = {0};
  for (;;) {
    size_t from = in->at;
    int letter;
    while ((letter = peek(in)) >= 0x20 && letter != '"' && letter != '\\') in->at++;
    bs_add(&made, (bs_str){in->text.ptr + from, in->at - from});
    if (take(in, '"')) break;
    if (!take(in, '\\')) return fail(in, letter < 0 ? "a string without an end" : "a control character in a string");
    if (!escape(in, &made)) return false;
  }
  *into = bs_made(&made);
  return true;
}

static bool number(reader *in, double *into) {
  char digits[64];
  size_t len = 0;
  while (peek(in) > 0 && strchr("+-.eE0123456789", peek(in)) && len < sizeof digits - 1) digits[len++] = in->text.ptr[in->at++];
  digits[len] = 0;
  size_t first = digits[0] == '-';
  if (digits[first] < '0' || digits[first] > '9' || (digits[first] == '0' && digits[first + 1] >= '0' && digits[first + 1] <= '9')) {
    return fail(in, "no value");
  }
  char *end;
  *into = strtod(digits, &end);
  return *end || !isfinite(*into) ? fail(in, "no number") : true;
}

static bool list(reader *in, bs_json *into, int depth, char close) {
  bool is_object = close == '}';
  const bs_json **next = &into->first;
  in->at++;
  space(in);
  if (take(in, close)) return true;
  for (;;) {
    bs_json *child = bs_alloc(sizeof *child);
    child->parent = into;
    child->index = into->count;
    space(in);
    if (is_object) {
      if (!string(in, &child->key)) return false;
      space(in);
      if (!take(in, ':')) return fail(in, "no `:` after a key");
    }
    if (!value(in, child, depth + 1)) return false;
    *next = child;
    next = &child->next;
    into->count++;
    space(in);
    if (take(in, close)) return true;
    if (!take(in, ',')) return fail(in, "no `,` between values");
  }
}

static bool value(reader *in, bs_json *into, int depth) {
  if (depth > MAX_DEPTH) return fail(in, "more than 64 levels");
  space(in);
  switch (peek(in)) {
    case '{':
      into->kind = BS_OBJECT;
      return list(in, into, depth, '}');
    case '[':
      into->kind = BS_ARRAY;
      return list(in, into, depth, ']');
    case '"':
      into->kind = BS_STRING;
      return string(in, &into->text);
    case 't':
      into->kind = BS_BOOL;
      into->truth = true;
      return word(in, "true");
    case 'f':
      into->kind = BS_BOOL;
      return word(in, "false");
    case 'n':
      into->kind = BS_NULL;
      return word(in, "null");
    default:
      into->kind = BS_NUMBER;
      return number(in, &into->number);
  }
}

const bs_json *bs_json_parse(bs_str text, bs_str *fault) {
  reader in = {text, 0, NULL};
  bs_json *made = bs_alloc(sizeof *made);
  if (value(&in, made, 0)) {
    space(&in);
    if (in.at == text.len) return made;
    in.fault = "something behind the document";
  }
  if (fault) *fault = bs_format("%s at byte %zu", in.fault, in.at);
  return NULL;
}

const bs_json *bs_get(const bs_json *of, const char *key) {
  if (!of || of->kind != BS_OBJECT) return NULL;
  for (const bs_json *member = of->first; member; member = member->next) {
    if (bs_equal(member->key, bs_text(key))) return member;
  }
  return NULL;
}

bs_str bs_string(const bs_json *of, bs_str other) { return of && of->kind == BS_STRING ? of->text : other; }

bs_str bs_pointer(const bs_json *of) {
  if (!of || !of->parent) return BS("");
  bs_buffer made = {0};
  bs_add(&made, bs_pointer(of->parent));
  bs_add(&made, BS("/"));
  if (of->parent->kind == BS_ARRAY) {
    bs_add(&made, bs_format("%zu", of->index));
    return bs_made(&made);
  }
  for (size_t at = 0; at < of->key.len; at++) {
    char letter = of->key.ptr[at];
    bs_add(&made, letter == '~' ? BS("~0") : letter == '/' ? BS("~1") : (bs_str){&of->key.ptr[at], 1});
  }
  return bs_made(&made);
}

bs_str bs_quoted(bs_str text) {
  bs_buffer made = {0};
  bs_add(&made, BS("\""));
  for (size_t at = 0; at < text.len; at++) {
    unsigned char letter = (unsigned char)text.ptr[at];
    if (letter == '"' || letter == '\\') bs_add(&made, BS("\\"));
    bs_add(&made, letter < 0x20 ? bs_format("\\u%04x", letter) : (bs_str){&text.ptr[at], 1});
  }
  bs_add(&made, BS("\""));
  return bs_made(&made);
}
