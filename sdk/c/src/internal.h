// What the SDK's own files share.
#ifndef BOOTSPLICE_INTERNAL_H
#define BOOTSPLICE_INTERNAL_H

#include <stdarg.h>

#include "../bindings/plugin.h"
#include "bootsplice.h"

typedef bootsplice_generator_types_error_t raw_error;

// `handle` is the host's; a meter has none and counts.
struct bs_sink {
  bool counts;
  uint64_t metered;
  int32_t handle;
};

bs_str bs_format_list(const char *format, va_list values);

static inline bs_str bs_of(plugin_string_t raw) { return (bs_str){(const char *)raw.ptr, raw.len}; }

// For arguments: the host only reads it during the call.
static inline plugin_string_t bs_lend(bs_str text) { return (plugin_string_t){(uint8_t *)(uintptr_t)text.ptr, text.len}; }

// For answers: the bindings free it.
plugin_string_t bs_give(bs_str text);

bs_error *bs_of_error(const raw_error *raw);
void bs_give_error(const bs_error *error, raw_error *raw);
void bs_give_findings(const bs_finding *first, bootsplice_generator_types_list_diagnostic_t *raw);

#endif
