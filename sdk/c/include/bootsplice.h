// Write a bootsplice generator in C: four functions become a WebAssembly component.
//
// Memory: nothing is freed. A call of a generator has its own memory, of at most 256 MiB, and all of it is gone when the call ends.
// Errors: what can fail answers `bs_error *`, NULL when it did not. BS_TRY hands one on.
// Text is UTF-8 with a length; it may hold NUL.
#ifndef BOOTSPLICE_H
#define BOOTSPLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- Text -------------------------------------------------------------------------------------------------------------------------------

typedef struct {
  const char *ptr;
  size_t len;
} bs_str;

// A literal as text: BS("/etc/motd").
#define BS(literal) ((bs_str){"" literal, sizeof(literal) - 1})
// For printf's "%.*s": printf("%.*s", BS_ARG(text)).
#define BS_ARG(text) (int)(text).len, (text).ptr

bs_str bs_text(const char *nul_terminated);
// As printf does it; `%.*s` with BS_ARG for text.
bs_str bs_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool bs_equal(bs_str one, bs_str other);
bool bs_starts(bs_str text, bs_str with);
// Memory that is zero. Never NULL: without memory the run ends.
void *bs_alloc(size_t size);

// Text in the making.
typedef struct {
  char *ptr;
  size_t len, room;
} bs_buffer;

void bs_add(bs_buffer *to, bs_str text);
bs_str bs_made(const bs_buffer *buffer);

// --- JSON -------------------------------------------------------------------------------------------------------------------------------

typedef enum { BS_NULL, BS_BOOL, BS_NUMBER, BS_STRING, BS_ARRAY, BS_OBJECT } bs_kind;

// A value of a document. Items of an array and members of an object: `first`, then `next`.
typedef struct bs_json {
  bs_kind kind;
  bool truth;
  double number;
  // Of a string.
  bs_str text;
  // Of a member of an object, and the place of an item of an array.
  bs_str key;
  size_t index;
  size_t count;
  const struct bs_json *parent, *first, *next;
} bs_json;

// At most 64 levels. NULL when it is no JSON; `fault` says why, and may be NULL.
const bs_json *bs_json_parse(bs_str text, bs_str *fault);
// The member of an object; NULL when there is none, or `of` is NULL or no object.
const bs_json *bs_get(const bs_json *of, const char *key);
// The text of a string, or `other` where `of` is NULL or no string.
bs_str bs_string(const bs_json *of, bs_str other);
// The JSON Pointer (RFC 6901) of a value in its document.
bs_str bs_pointer(const bs_json *of);
// A string as JSON, with quotes.
bs_str bs_quoted(bs_str text);

// --- Errors -----------------------------------------------------------------------------------------------------------------------------

typedef enum {
  BS_INVALID_CONFIG,
  BS_UNSATISFIABLE,
  BS_NOT_FOUND,
  BS_DENIED,
  BS_INTEGRITY,
  BS_UNTRUSTED,
  BS_QUOTA_EXCEEDED,
  BS_UPSTREAM,
  BS_UNSUPPORTED,
  BS_CANCELLED,
  BS_FAULT,
} bs_code;

typedef enum { BS_HINT, BS_WARNING, BS_ERROR } bs_severity;

// A finding about the configuration, for the person who wrote it.
typedef struct bs_finding {
  bs_severity severity;
  bs_str pointer, code, message, hint;
  const struct bs_finding *next;
} bs_finding;

typedef struct bs_error {
  bs_code code;
  bs_str message;
  // Of BS_INVALID_CONFIG.
  const bs_finding *findings;
  // Of BS_INTEGRITY.
  bs_str expected, actual, url;
  // Of BS_UNTRUSTED and BS_QUOTA_EXCEEDED: the contract's number of the reason.
  uint8_t reason;
  // Of BS_UPSTREAM: when trying again can help, in milliseconds; 0: it cannot.
  uint32_t retry_after_ms;
} bs_error;

// Hands an error on to the caller.
#define BS_TRY(call) \
  do { \
    bs_error *bs_failed_ = (call); \
    if (bs_failed_) return bs_failed_; \
  } while (0)

// What must be so. Otherwise the function answers a fault that names file and line.
#define BS_CHECK(condition) \
  do { \
    if (!(condition)) return bs_fault("%s", #condition); \
  } while (0)

// The generator itself is at fault: "hosts.c:42: text". The name alone, so that a component does not depend on where it was built.
#define bs_fault(...) bs_fault_at(__FILE_NAME__, __LINE__, __VA_ARGS__)
bs_error *bs_fault_at(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
// The configuration is at fault at a value of it.
bs_error *bs_config_error(const bs_json *at, const char *format, ...) __attribute__((format(printf, 2, 3)));
bs_error *bs_error_new(bs_code code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// --- What a generator is ----------------------------------------------------------------------------------------------------------------

typedef enum { BS_LINUX, BS_WINDOWS, BS_BSD, BS_OTHER_OS } bs_os;
typedef enum { BS_FILES, BS_PACKAGES, BS_LATE } bs_stage;

typedef struct {
  bs_os os;
  bs_str distro, release, arch, insertion_point;
  // The job's only clock, in seconds since 1970.
  uint64_t source_date_epoch;
} bs_target;

typedef struct {
  bs_str name, value;
} bs_pair;

typedef struct {
  bs_str id, profile;
  const bs_pair *attributes;
  size_t attribute_count;
} bs_instance;

typedef struct {
  bs_str title, config;
} bs_example;

// Lists of text end with one that has no pointer; left out they are empty.
typedef struct {
  bs_str id, version, title, summary;
  bs_stage stage;
  const bs_str *fetch, *secrets;
  bs_str schema;
  // Ends with one without a title.
  const bs_example *examples;
  bool joins_steps;
} bs_descriptor;

typedef struct {
  int32_t handle;
} bs_blob;

typedef struct {
  bs_str name, version, url, digest;
  uint64_t size;
  // Empty when the source needs none.
  bs_str credential;
} bs_pin;

typedef struct {
  bs_pin *pins;
  size_t pin_count;
  // May be NULL.
  const bs_blob *state;
  uint32_t fresh_for_s;
  bool needs_instance;
  uint64_t max_output;
} bs_lock_file;

typedef struct {
  const bs_pin *pins;
  size_t pin_count;
  const bs_blob *state;
} bs_locked;

typedef struct {
  const bs_finding *first;
  bs_finding *last;
} bs_findings;

typedef struct {
  bs_str note;
  bool reboot_required;
} bs_summary;

typedef struct bs_sink bs_sink;

typedef struct {
  bs_descriptor (*describe)(void);
  // What the schema cannot say. `target` is NULL while a profile is saved.
  void (*validate)(const bs_target *target, const bs_json *config, bs_findings *found);
  // `previous` may be NULL.
  bs_error *(*resolve)(const bs_target *target, const bs_json *config, const bs_locked *previous, bs_lock_file *lock);
  // `instance` is NULL unless the lock file says `needs_instance`.
  bs_error *(*generate)(const bs_target *target, const bs_json *config, const bs_locked *locked, const bs_instance *instance, bs_sink *sink,
                        bs_summary *summary);
} bs_generator;

// Yours to define.
extern const bs_generator bs_plugin;

void bs_find(bs_findings *found, const bs_json *at, bs_str code, const char *format, ...) __attribute__((format(printf, 4, 5)));

// --- The host ---------------------------------------------------------------------------------------------------------------------------

typedef enum { BS_LOG_TRACE, BS_LOG_DEBUG, BS_LOG_INFO, BS_LOG_WARN, BS_LOG_ERROR } bs_level;

void bs_log(bs_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool bs_is_cancelled(void);

typedef struct {
  bs_str url;
  // `sha256:` and 64 lower-case hex digits; empty where it is not known. Required in generate.
  bs_str digest;
  // 0: 4 GiB.
  uint64_t max_size;
  bs_str credential;
} bs_request;

bs_error *bs_fetch(bs_request request, bs_blob *content);
// In resolve: fetches `{"url": …, "sha256": …, "credential": …}` of a configuration, and makes its pin.
bs_error *bs_pin_source(bs_str name, const bs_json *source, bs_pin *pin, bs_blob *content);
// In generate: the bytes of the pin called `name`.
bs_error *bs_open_pin(const bs_locked *locked, bs_str name, bs_blob *content);

uint64_t bs_blob_size(bs_blob blob);
bs_str bs_blob_digest(bs_blob blob);
// The whole blob as text; BS_UNSUPPORTED past `limit` bytes.
bs_error *bs_blob_text(bs_blob blob, uint64_t limit, bs_str *text);
bs_error *bs_blob_new(bs_str content, bs_blob *made);
// A file of the image that the launch starts from. Only in resolve. False where there is none.
bool bs_inventory(bs_str name, bs_blob *content);

// --- Content ----------------------------------------------------------------------------------------------------------------------------

typedef enum { BS_FAIL, BS_REPLACE, BS_KEEP_EXISTING, BS_BACKUP } bs_conflict;
typedef enum { BS_PLAIN, BS_SHELL, BS_JSON, BS_YAML, BS_INI } bs_template_format;
typedef enum { BS_EDIT_INI, BS_EDIT_JSON, BS_EDIT_YAML, BS_EDIT_TOML, BS_EDIT_KEY_VALUE, BS_EDIT_SYSTEMD } bs_edit_format;
typedef enum { BS_SET, BS_REMOVE, BS_APPEND } bs_verb;

// Where NULL is given: mode 0644 (directories 0755), root or whose home it is, BS_REPLACE.
typedef struct {
  uint32_t mode;
  // Empty: root, or whose home the path is in. An empty group is the user's name.
  bs_str user, group;
  bs_conflict on_conflict;
} bs_attrs;

bs_error *bs_put_file(bs_sink *to, bs_str path, bs_str content, const bs_attrs *attrs);
bs_error *bs_put_blob(bs_sink *to, bs_str path, bs_blob content, const bs_attrs *attrs);
// The host fills {{instance:id}}, {{instance:profile}}, {{instance:attributes.NAME}} and {{secret:NAME}} per launch.
bs_error *bs_put_template(bs_sink *to, bs_str path, bs_str text, bs_template_format format, const bs_attrs *attrs);
bs_error *bs_put_dir(bs_sink *to, bs_str path, const bs_attrs *attrs);
bs_error *bs_put_symlink(bs_sink *to, bs_str path, bs_str target);

typedef struct {
  bs_verb verb;
  // JSON Pointer into the file.
  bs_str path;
  // JSON; empty with BS_REMOVE.
  bs_str value;
} bs_change;

bs_error *bs_edit(bs_sink *to, bs_str file, bs_edit_format format, const bs_change *changes, size_t count, bool create);

typedef struct {
  // Empty: /bin/sh.
  bs_str interpreter;
  // At most 64 KiB and no template.
  bs_str text;
  // What varies; values may hold placeholders.
  const bs_pair *environment;
  size_t environment_count;
  // Empty: root.
  bs_str user;
} bs_command;

bs_error *bs_run(bs_sink *to, bs_command command);
bs_error *bs_service(bs_sink *to, bs_str unit, bool enable, bool start);

// A sink that only counts, for `max_output` of the lock file: bs_sink *meter = bs_meter(); write(config, meter); bs_metered(meter).
bs_sink *bs_meter(void);
uint64_t bs_metered(const bs_sink *meter);

#endif
