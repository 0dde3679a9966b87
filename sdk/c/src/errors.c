// Errors and findings.

#include <stdarg.h>

#include "bootsplice.h"

bs_str bs_format_list(const char *format, va_list values);

static bs_error *made(bs_code code, bs_str message) {
  bs_error *error = bs_alloc(sizeof *error);
  error->code = code;
  error->message = message;
  return error;
}

bs_error *bs_error_new(bs_code code, const char *format, ...) {
  va_list values;
  va_start(values, format);
  bs_error *error = made(code, bs_format_list(format, values));
  va_end(values);
  return error;
}

bs_error *bs_fault_at(const char *file, int line, const char *format, ...) {
  va_list values;
  va_start(values, format);
  bs_str words = bs_format_list(format, values);
  va_end(values);
  return made(BS_FAULT, bs_format("%s:%d: %.*s", file, line, BS_ARG(words)));
}

static void add(bs_findings *found, const bs_json *at, bs_str code, bs_str message) {
  bs_finding *finding = bs_alloc(sizeof *finding);
  *finding = (bs_finding){BS_ERROR, bs_pointer(at), code, message, {0}, NULL};
  if (found->last) {
    found->last->next = finding;
  } else {
    found->first = finding;
  }
  found->last = finding;
}

void bs_find(bs_findings *found, const bs_json *at, bs_str code, const char *format, ...) {
  va_list values;
  va_start(values, format);
  add(found, at, code, bs_format_list(format, values));
  va_end(values);
}

bs_error *bs_config_error(const bs_json *at, const char *format, ...) {
  va_list values;
  va_start(values, format);
  bs_findings found = {0};
  add(&found, at, BS("invalid-value"), bs_format_list(format, values));
  va_end(values);
  bs_error *error = made(BS_INVALID_CONFIG, found.first->message);
  error->findings = found.first;
  return error;
}
