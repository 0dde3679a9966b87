// A launch on the fake host.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

run fake_run;
static fake_limits limits;
static bs_buffer log_lines;

static const char *const codes[] = {"invalid-config", "unsatisfiable", "not-found", "denied",      "integrity", "untrusted",
                                    "quota-exceeded", "upstream",      "unsupported", "cancelled", "fault"};
static const char *const quotas[] = {"memory",         "time",      "fetch-count", "fetch-bytes", "output-bytes",
                                     "output-entries", "log-bytes", "cache-bytes", "handles",     "output-bytes"};

void fake_limit(fake_limits given) {
#define OR(value, other) ((value) ? (value) : (other))
  limits = (fake_limits){OR(given.output_bytes, (uint64_t)4 << 30), OR(given.output_entries, 100000),  OR(given.log_bytes, 1 << 20),
                         OR(given.fetches, 8192),                   OR(given.fetch_bytes, (uint64_t)4 << 30), OR(given.handles, 4096),
                         OR(given.scratch_bytes, (uint64_t)8 << 30)};
}

void fake_reset(void) {
  fake_limit((fake_limits){0});
  fake_web_reset();
  fake_archive_reset();
  fake_blobs_reset();
  log_lines = (bs_buffer){0};
}

static void begin(phase in) {
  fake_run = (run){.phase = in};
  uint64_t *of = fake_run.limits;
  of[BOOTSPLICE_GENERATOR_TYPES_QUOTA_FETCH_COUNT] = limits.fetches;
  of[BOOTSPLICE_GENERATOR_TYPES_QUOTA_FETCH_BYTES] = limits.fetch_bytes;
  of[BOOTSPLICE_GENERATOR_TYPES_QUOTA_OUTPUT_BYTES] = limits.output_bytes;
  of[BOOTSPLICE_GENERATOR_TYPES_QUOTA_OUTPUT_ENTRIES] = limits.output_entries;
  of[BOOTSPLICE_GENERATOR_TYPES_QUOTA_LOG_BYTES] = limits.log_bytes;
  of[BOOTSPLICE_GENERATOR_TYPES_QUOTA_HANDLES] = limits.handles;
  of[SCRATCH] = limits.scratch_bytes;
  fake_archive_reset();
  fake_blobs_reset();
}

bool fake_fail(raw_error *failed, bs_code code, const char *format, ...) {
  va_list values;
  va_start(values, format);
  memset(failed, 0, sizeof *failed);
  failed->tag = (uint8_t)code;
  failed->val.fault = bs_lend(bs_format_list(format, values));
  va_end(values);
  return false;
}

bool fake_take(uint8_t quota, uint64_t amount, raw_error *failed) {
  if (amount <= fake_run.limits[quota] - fake_run.used[quota]) {
    fake_run.used[quota] += amount;
    return true;
  }
  if (!fake_run.broken) fake_run.quota = quota;
  fake_run.broken = true;
  memset(failed, 0, sizeof *failed);
  failed->tag = BS_QUOTA_EXCEEDED;
  failed->val.quota_exceeded = quota == SCRATCH ? BOOTSPLICE_GENERATOR_TYPES_QUOTA_OUTPUT_BYTES : quota;
  return false;
}

bool fake_only_in(const char *what, bool also_resolve, raw_error *failed) {
  static const char *const names[] = {"Pure", "Resolve", "Generate"};
  if (fake_run.phase == GENERATE || (also_resolve && fake_run.phase == RESOLVE)) return true;
  return fake_fail(failed, BS_DENIED, "%s cannot be used in this phase (%s)", what, names[fake_run.phase]);
}

static fake_result failure(bs_code code, bs_str message) { return (fake_result){codes[code], message, BS(""), BS("")}; }

static fake_result of_raw(const raw_error *raw) {
  if (raw->tag == BS_QUOTA_EXCEEDED) return failure(BS_QUOTA_EXCEEDED, bs_format("the limit on %s was reached", quotas[raw->val.quota_exceeded]));
  if (raw->tag != BS_INVALID_CONFIG) return failure((bs_code)raw->tag, bs_of_error(raw)->message);
  const bootsplice_generator_types_diagnostic_t *first = raw->val.invalid_config.ptr;
  return (fake_result){codes[BS_INVALID_CONFIG], bs_of(first->message), bs_of(first->pointer), BS("")};
}

static fake_result broken(void) {
  return failure(BS_QUOTA_EXCEEDED, bs_format("the limit on %s was reached", quotas[fake_run.quota]));
}

fake_result fake_launch(const char *config) {
  bs_str fault;
  const bs_json *document = bs_json_parse(bs_text(config), &fault);
  if (!document) fake_expected(__FILE__, __LINE__, "the configuration is JSON");
  raw_error failed;
  bootsplice_generator_types_target_t target = {
      .distro = bs_lend(BS("debian")),
      .release = bs_lend(BS("bookworm")),
      .arch = bs_lend(BS("amd64")),
      .insertion_point = bs_lend(BS("base")),
      .source_date_epoch = 1700000000,
  };
  plugin_string_t text = bs_lend(bs_text(config));

  begin(PURE);
  exports_bootsplice_generator_plugin_info_list_diagnostic_t found;
  exports_bootsplice_generator_plugin_info_validate(NULL, &text, &found);
  for (size_t at = 0; at < found.len; at++) {
    if (found.ptr[at].severity == BS_ERROR) {
      return (fake_result){codes[BS_INVALID_CONFIG], bs_of(found.ptr[at].message), bs_of(found.ptr[at].pointer), BS("")};
    }
  }

  begin(RESOLVE);
  fake_web_begin(document, NULL);
  exports_bootsplice_generator_generator_lock_file_t raw;
  if (!exports_bootsplice_generator_generator_resolve(&target, &text, NULL, &raw, &failed)) return of_raw(&failed);
  if (fake_run.broken) return broken();
  bs_str state = raw.state.is_some ? fake_blob_of(raw.state.val.__handle) : BS("");
  bs_lock_file lock = {bs_alloc(raw.pins.len * sizeof(bs_pin)), raw.pins.len, NULL, 0, raw.needs_instance, raw.max_output};
  uint64_t pinned = 0;
  for (size_t at = 0; at < raw.pins.len; at++) {
    const exports_bootsplice_generator_generator_pin_t *pin = &raw.pins.ptr[at];
    lock.pins[at] = (bs_pin){.url = bs_of(pin->urls.ptr[0]), .digest = bs_of(pin->digest), .size = pin->size};
    pinned += pin->size;
  }

  begin(GENERATE);
  fake_web_begin(document, &lock);
  exports_bootsplice_generator_generator_locked_t locked = {.pins = raw.pins, .state = {.is_some = raw.state.is_some}};
  if (raw.state.is_some && !fake_blob_new(state, &locked.state.val.__handle, &failed)) return of_raw(&failed);
  bootsplice_generator_types_instance_t who = {.id = bs_lend(BS("i-1")), .profile = bs_lend(BS("test"))};
  exports_bootsplice_generator_generator_summary_t summary;
  bool ok = exports_bootsplice_generator_generator_generate(&target, &text, &locked, raw.needs_instance ? &who : NULL,
                                                            (exports_bootsplice_generator_generator_borrow_sink_t){1}, &summary, &failed);
  if (!ok) return of_raw(&failed);
  if (fake_run.broken) return broken();
  uint64_t wrote = fake_run.used[BOOTSPLICE_GENERATOR_TYPES_QUOTA_OUTPUT_BYTES];
  if (wrote > raw.max_output + pinned) {
    return failure(BS_FAULT, bs_format("%llu bytes were written; the lock file said %llu besides the pins", (unsigned long long)wrote,
                                       (unsigned long long)raw.max_output));
  }
  return (fake_result){"", BS(""), BS(""), summary.notes.len ? bs_of(summary.notes.ptr[0]) : BS("")};
}

bs_str fake_log(void) { return bs_made(&log_lines); }

void fake_expected(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: expected %s\n", file, line, what);
  exit(1);
}

void bootsplice_generator_job_log(uint8_t level, plugin_string_t *message, plugin_list_tuple2_string_string_t *fields) {
  (void)level, (void)fields;
  uint64_t *used = &fake_run.used[BOOTSPLICE_GENERATOR_TYPES_QUOTA_LOG_BYTES];
  // Past the limit lines are dropped; nothing fails.
  if (*used + message->len > limits.log_bytes) return;
  *used += message->len;
  bs_add(&log_lines, bs_of(*message));
  bs_add(&log_lines, BS("\n"));
}

bool bootsplice_generator_job_is_cancelled(void) { return false; }

void plugin_string_dup_n(plugin_string_t *to, const char *from, size_t len) {
  char *copy = bs_alloc(len);
  if (len) memcpy(copy, from, len);
  *to = (plugin_string_t){(uint8_t *)copy, len};
}
