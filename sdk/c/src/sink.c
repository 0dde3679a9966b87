// Entries and actions, or their count.

#include "internal.h"

// Of an entry's headers, and of what a file system rounds up.
#define OVERHEAD 4096

typedef bootsplice_generator_archive_borrow_sink_t raw_sink;

static bs_error *count(bs_sink *to, uint64_t bytes) {
  to->metered += OVERHEAD + bytes;
  return NULL;
}

static bootsplice_generator_archive_entry_attrs_t raw_attrs(const bs_attrs *attrs, uint32_t mode) {
  bootsplice_generator_archive_entry_attrs_t raw = {.mode = mode, .on_conflict = BS_REPLACE};
  if (!attrs) return raw;
  raw.mode = attrs->mode;
  raw.on_conflict = (uint8_t)attrs->on_conflict;
  raw.owner.is_some = attrs->user.len || attrs->group.len;
  raw.owner.val.user = bs_lend(attrs->user.len ? attrs->user : BS("root"));
  raw.owner.val.group = bs_lend(attrs->group.len ? attrs->group : attrs->user);
  return raw;
}

static plugin_option_string_t option(bs_str text) { return (plugin_option_string_t){text.len > 0, bs_lend(text)}; }

bs_error *bs_put_file(bs_sink *to, bs_str path, bs_str content, const bs_attrs *attrs) {
  if (to->counts) return count(to, content.len);
  bs_blob blob;
  if (content.len > 1 << 20) {
    BS_TRY(bs_blob_new(content, &blob));
    return bs_put_blob(to, path, blob, attrs);
  }
  plugin_string_t name = bs_lend(path);
  bootsplice_generator_archive_entry_attrs_t raw = raw_attrs(attrs, 0644);
  plugin_list_u8_t bytes = {(uint8_t *)(uintptr_t)content.ptr, content.len};
  raw_error failed;
  bool ok = bootsplice_generator_archive_method_sink_put_bytes((raw_sink){to->handle}, &name, &raw, &bytes, &failed);
  return ok ? NULL : bs_of_error(&failed);
}

bs_error *bs_put_blob(bs_sink *to, bs_str path, bs_blob content, const bs_attrs *attrs) {
  if (to->counts) return count(to, bs_blob_size(content));
  plugin_string_t name = bs_lend(path);
  bootsplice_generator_archive_entry_attrs_t raw = raw_attrs(attrs, 0644);
  bootsplice_generator_archive_borrow_blob_t blob = {content.handle};
  raw_error failed;
  bool ok = bootsplice_generator_archive_method_sink_put_blob((raw_sink){to->handle}, &name, &raw, blob, &failed);
  return ok ? NULL : bs_of_error(&failed);
}

bs_error *bs_put_template(bs_sink *to, bs_str path, bs_str text, bs_template_format format, const bs_attrs *attrs) {
  // Filled values are longer than their placeholders.
  if (to->counts) return count(to, OVERHEAD + 2 * text.len);
  plugin_string_t name = bs_lend(path), content = bs_lend(text);
  bootsplice_generator_archive_entry_attrs_t raw = raw_attrs(attrs, 0644);
  raw_error failed;
  bool ok = bootsplice_generator_archive_method_sink_put_template((raw_sink){to->handle}, &name, &raw, &content, (uint8_t)format, &failed);
  return ok ? NULL : bs_of_error(&failed);
}

bs_error *bs_put_dir(bs_sink *to, bs_str path, const bs_attrs *attrs) {
  if (to->counts) return count(to, 0);
  plugin_string_t name = bs_lend(path);
  bootsplice_generator_archive_entry_attrs_t raw = raw_attrs(attrs, 0755);
  raw_error failed;
  bool ok = bootsplice_generator_archive_method_sink_put_dir((raw_sink){to->handle}, &name, &raw, &failed);
  return ok ? NULL : bs_of_error(&failed);
}

bs_error *bs_put_symlink(bs_sink *to, bs_str path, bs_str target) {
  if (to->counts) return count(to, target.len);
  plugin_string_t name = bs_lend(path), link = bs_lend(target);
  raw_error failed;
  bool ok = bootsplice_generator_archive_method_sink_put_symlink((raw_sink){to->handle}, &name, &link, &failed);
  return ok ? NULL : bs_of_error(&failed);
}

static bs_error *act(bs_sink *to, bootsplice_generator_archive_action_t *action) {
  raw_error failed;
  bool ok = bootsplice_generator_archive_method_sink_add_action((raw_sink){to->handle}, action, &failed);
  return ok ? NULL : bs_of_error(&failed);
}

bs_error *bs_edit(bs_sink *to, bs_str file, bs_edit_format format, const bs_change *changes, size_t changes_count, bool create) {
  if (to->counts) {
    // JSON escapes may make six characters of one.
    uint64_t bytes = 6 * file.len;
    for (size_t at = 0; at < changes_count; at++) bytes += 128 + 6 * (changes[at].path.len + changes[at].value.len);
    return count(to, bytes);
  }
  bootsplice_generator_archive_change_t *raw = bs_alloc(changes_count * sizeof *raw);
  for (size_t at = 0; at < changes_count; at++) {
    raw[at].verb = (uint8_t)changes[at].verb;
    raw[at].path = bs_lend(changes[at].path);
    raw[at].value = option(changes[at].value);
  }
  bootsplice_generator_archive_action_t action = {.tag = BOOTSPLICE_GENERATOR_ARCHIVE_ACTION_EDIT};
  action.val.edit.file = bs_lend(file);
  action.val.edit.format = (uint8_t)format;
  action.val.edit.changes.ptr = raw;
  action.val.edit.changes.len = changes_count;
  action.val.edit.create = create;
  return act(to, &action);
}

bs_error *bs_run(bs_sink *to, bs_command command) {
  if (to->counts) {
    uint64_t bytes = 6 * command.text.len;
    for (size_t at = 0; at < command.environment_count; at++) {
      bytes += 64 + 6 * (command.environment[at].name.len + command.environment[at].value.len);
    }
    return count(to, bytes);
  }
  plugin_tuple2_string_string_t *pairs = bs_alloc(command.environment_count * sizeof *pairs);
  for (size_t at = 0; at < command.environment_count; at++) {
    pairs[at].f0 = bs_lend(command.environment[at].name);
    pairs[at].f1 = bs_lend(command.environment[at].value);
  }
  bootsplice_generator_archive_action_t action = {.tag = BOOTSPLICE_GENERATOR_ARCHIVE_ACTION_RUN};
  action.val.run.interpreter = bs_lend(command.interpreter.len ? command.interpreter : BS("/bin/sh"));
  action.val.run.text = bs_lend(command.text);
  action.val.run.environment.ptr = pairs;
  action.val.run.environment.len = command.environment_count;
  action.val.run.user = option(command.user);
  return act(to, &action);
}

bs_error *bs_service(bs_sink *to, bs_str unit, bool enable, bool start) {
  if (to->counts) return count(to, 6 * unit.len);
  bootsplice_generator_archive_action_t action = {.tag = BOOTSPLICE_GENERATOR_ARCHIVE_ACTION_SERVICE};
  action.val.service.unit = bs_lend(unit);
  action.val.service.enable = enable;
  action.val.service.start = start;
  return act(to, &action);
}

bs_sink *bs_meter(void) {
  bs_sink *meter = bs_alloc(sizeof *meter);
  *meter = (bs_sink){true, OVERHEAD, 0};
  return meter;
}

uint64_t bs_metered(const bs_sink *meter) { return meter->metered; }
