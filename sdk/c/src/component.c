// The component around a generator: what the host calls.

#include <string.h>

#include "internal.h"

typedef bootsplice_generator_types_target_t raw_target;
typedef exports_bootsplice_generator_generator_locked_t raw_locked;

static bs_target of_target(const raw_target *raw) {
  return (bs_target){(bs_os)raw->os,     bs_of(raw->distro),          bs_of(raw->release),
                     bs_of(raw->arch),   bs_of(raw->insertion_point), raw->source_date_epoch};
}

static bs_locked of_locked(const raw_locked *raw) {
  bs_pin *pins = bs_alloc(raw->pins.len * sizeof *pins);
  for (size_t at = 0; at < raw->pins.len; at++) {
    const exports_bootsplice_generator_generator_pin_t *from = &raw->pins.ptr[at];
    pins[at] = (bs_pin){bs_of(from->name), bs_of(from->version), from->urls.len ? bs_of(from->urls.ptr[0]) : BS(""),
                        bs_of(from->digest), from->size, {0}};
    for (size_t pair = 0; pair < from->attributes.len; pair++) {
      if (bs_equal(bs_of(from->attributes.ptr[pair].f0), BS("credential"))) pins[at].credential = bs_of(from->attributes.ptr[pair].f1);
    }
  }
  bs_blob *state = NULL;
  if (raw->state.is_some) {
    state = bs_alloc(sizeof *state);
    state->handle = raw->state.val.__handle;
  }
  return (bs_locked){pins, raw->pins.len, state};
}

static void give_lock_file(const bs_lock_file *made, exports_bootsplice_generator_generator_lock_file_t *raw) {
  memset(raw, 0, sizeof *raw);
  raw->pins.len = made->pin_count;
  if (made->pin_count) raw->pins.ptr = bs_alloc(made->pin_count * sizeof *raw->pins.ptr);
  for (size_t at = 0; at < made->pin_count; at++) {
    const bs_pin *pin = &made->pins[at];
    exports_bootsplice_generator_generator_pin_t *to = &raw->pins.ptr[at];
    to->name = bs_give(pin->name);
    to->version = bs_give(pin->version);
    to->urls.len = 1;
    to->urls.ptr = bs_alloc(sizeof *to->urls.ptr);
    to->urls.ptr[0] = bs_give(pin->url);
    to->digest = bs_give(pin->digest);
    to->size = pin->size;
    if (pin->credential.len) {
      to->attributes.len = 1;
      to->attributes.ptr = bs_alloc(sizeof *to->attributes.ptr);
      to->attributes.ptr[0].f0 = bs_give(BS("credential"));
      to->attributes.ptr[0].f1 = bs_give(pin->credential);
    }
  }
  if (made->state) raw->state = (exports_bootsplice_generator_generator_option_own_blob_t){true, {made->state->handle}};
  raw->fresh_for_s.is_some = made->fresh_for_s > 0;
  raw->fresh_for_s.val = made->fresh_for_s;
  raw->needs_instance = made->needs_instance;
  raw->max_output = made->max_output;
}

static void give_list(const bs_str *from, plugin_list_string_t *raw) {
  *raw = (plugin_list_string_t){NULL, 0};
  while (from && from[raw->len].ptr) raw->len++;
  if (raw->len) raw->ptr = bs_alloc(raw->len * sizeof *raw->ptr);
  for (size_t at = 0; at < raw->len; at++) raw->ptr[at] = bs_give(from[at]);
}

static bs_error *read_config(plugin_string_t *text, const bs_json **config) {
  bs_str fault;
  *config = bs_json_parse(bs_of(*text), &fault);
  return *config ? NULL : bs_config_error(NULL, "it is no JSON: %.*s", BS_ARG(fault));
}

// resolve and generate may run on a configuration that was never validated.
static bs_error *accept(const bs_target *target, plugin_string_t *text, const bs_json **config) {
  BS_TRY(read_config(text, config));
  bs_findings found = {0};
  if (bs_plugin.validate) bs_plugin.validate(target, *config, &found);
  for (const bs_finding *finding = found.first; finding; finding = finding->next) {
    if (finding->severity == BS_ERROR) {
      bs_error *error = bs_error_new(BS_INVALID_CONFIG, "%.*s", BS_ARG(finding->message));
      error->findings = found.first;
      return error;
    }
  }
  return NULL;
}

static bool answer(bs_error *failed, raw_error *raw) {
  if (!failed) return true;
  if (failed->code == BS_FAULT) bs_log(BS_LOG_ERROR, "%.*s", BS_ARG(failed->message));
  bs_give_error(failed, raw);
  return false;
}

void exports_bootsplice_generator_plugin_info_describe(exports_bootsplice_generator_plugin_info_descriptor_t *raw) {
  bs_descriptor made = bs_plugin.describe();
  memset(raw, 0, sizeof *raw);
  raw->id = bs_give(made.id);
  raw->version = bs_give(made.version);
  raw->title = bs_give(made.title);
  raw->summary = bs_give(made.summary);
  raw->os_families.len = 1;
  raw->os_families.ptr = bs_alloc(1);
  raw->os_families.ptr[0] = BS_LINUX;
  raw->stage = (uint8_t)made.stage;
  give_list(made.fetch, &raw->capabilities.fetch);
  give_list(made.secrets, &raw->capabilities.secrets);
  raw->config_schema = bs_give(made.schema);
  while (made.examples && made.examples[raw->examples.len].title.ptr) raw->examples.len++;
  if (raw->examples.len) raw->examples.ptr = bs_alloc(raw->examples.len * sizeof *raw->examples.ptr);
  for (size_t at = 0; at < raw->examples.len; at++) {
    raw->examples.ptr[at].title = bs_give(made.examples[at].title);
    raw->examples.ptr[at].config = bs_give(made.examples[at].config);
  }
  raw->joins_steps = made.joins_steps;
}

void exports_bootsplice_generator_plugin_info_validate(raw_target *maybe_target, plugin_string_t *text,
                                                       exports_bootsplice_generator_plugin_info_list_diagnostic_t *raw) {
  bs_target target;
  if (maybe_target) target = of_target(maybe_target);
  const bs_json *config;
  bs_findings found = {0};
  bs_error *failed = read_config(text, &config);
  if (failed) {
    found.first = failed->findings;
  } else if (bs_plugin.validate) {
    bs_plugin.validate(maybe_target ? &target : NULL, config, &found);
  }
  bootsplice_generator_types_list_diagnostic_t list;
  bs_give_findings(found.first, &list);
  raw->ptr = list.ptr;
  raw->len = list.len;
}

bool exports_bootsplice_generator_generator_resolve(raw_target *raw, plugin_string_t *text, raw_locked *maybe_previous,
                                                    exports_bootsplice_generator_generator_lock_file_t *made, raw_error *failed) {
  bs_target target = of_target(raw);
  bs_locked previous;
  if (maybe_previous) previous = of_locked(maybe_previous);
  const bs_json *config;
  if (!answer(accept(&target, text, &config), failed)) return false;
  bs_lock_file lock = {0};
  if (!answer(bs_plugin.resolve(&target, config, maybe_previous ? &previous : NULL, &lock), failed)) return false;
  give_lock_file(&lock, made);
  return true;
}

bool exports_bootsplice_generator_generator_generate(raw_target *raw, plugin_string_t *text, raw_locked *pinned,
                                                     bootsplice_generator_types_instance_t *maybe_who,
                                                     exports_bootsplice_generator_generator_borrow_sink_t dest,
                                                     exports_bootsplice_generator_generator_summary_t *made, raw_error *failed) {
  bs_target target = of_target(raw);
  bs_locked locked = of_locked(pinned);
  bs_instance who;
  if (maybe_who) {
    bs_pair *attributes = bs_alloc(maybe_who->attributes.len * sizeof *attributes);
    for (size_t at = 0; at < maybe_who->attributes.len; at++) {
      attributes[at] = (bs_pair){bs_of(maybe_who->attributes.ptr[at].f0), bs_of(maybe_who->attributes.ptr[at].f1)};
    }
    who = (bs_instance){bs_of(maybe_who->id), bs_of(maybe_who->profile), attributes, maybe_who->attributes.len};
  }
  bs_sink sink = {false, 0, dest.__handle};
  bs_summary summary = {0};
  const bs_json *config;
  bs_error *wrong = accept(&target, text, &config);
  if (!wrong) wrong = bs_plugin.generate(&target, config, &locked, maybe_who ? &who : NULL, &sink, &summary);
  // A borrowed handle is given back before the call ends.
  bootsplice_generator_archive_sink_drop_borrow((bootsplice_generator_archive_borrow_sink_t){dest.__handle});
  if (!answer(wrong, failed)) return false;
  memset(made, 0, sizeof *made);
  if (summary.note.len) {
    made->notes.len = 1;
    made->notes.ptr = bs_alloc(sizeof *made->notes.ptr);
    made->notes.ptr[0] = bs_give(summary.note);
  }
  made->reboot_required = summary.reboot_required;
  return true;
}

// The bindings call for an object that says which world the module lives in. The build adds that to the component instead.
void __component_type_object_force_link_plugin(void);
void __component_type_object_force_link_plugin(void) {}
