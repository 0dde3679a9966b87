// The archive in the test's own memory: every entry and action through the host's checks.

#include <string.h>

#include "internal.h"

#define MAX_INLINE (1 << 20)
#define MAX_SCRIPT (64 << 10)
#define MAX_CHANGES 10000
#define MAX_ACTIONS 1000
#define ENTRY_COST 512

typedef bootsplice_generator_archive_borrow_sink_t raw_sink;
typedef bootsplice_generator_archive_entry_attrs_t raw_attrs;

static fake_entry *entries;
static size_t entry_count, entry_room, action_count;

void fake_archive_reset(void) { entry_count = action_count = 0; }

size_t fake_entry_count(void) { return entry_count; }

size_t fake_action_count(void) { return action_count; }

const fake_entry *fake_entry_at(const char *path) {
  for (size_t at = 0; at < entry_count; at++) {
    if (bs_equal(entries[at].path, bs_text(path))) return &entries[at];
  }
  return NULL;
}

static bool charge(uint64_t bytes, raw_error *failed) {
  return fake_only_in("archive", false, failed) && fake_take(BOOTSPLICE_GENERATOR_TYPES_QUOTA_OUTPUT_BYTES, bytes, failed);
}

static bool check_attrs(bs_str path, const raw_attrs *attrs, raw_error *failed) {
  if (attrs->mode > 0777) {
    return fake_fail(failed, BS_DENIED, "%.*s: mode %o has bits beyond 0777 (setuid, setgid, sticky)", BS_ARG(path), attrs->mode);
  }
  bs_str names[] = {bs_of(attrs->owner.val.user), bs_of(attrs->owner.val.group)};
  for (size_t at = 0; attrs->owner.is_some && at < 2; at++) {
    if (!fake_is_user(names[at])) {
      return fake_fail(failed, BS_DENIED, "%.*s: `%.*s` is no user's or group's name", BS_ARG(path), BS_ARG(names[at]));
    }
  }
  return true;
}

static bool is_below(bs_str path, bs_str above) { return path.len > above.len && bs_starts(path, above) && path.ptr[above.len] == '/'; }

static bool add(fake_kind kind, plugin_string_t *raw_path, const raw_attrs *attrs, bs_str content, raw_error *failed) {
  bs_str path = bs_format("%.*s", BS_ARG(bs_of(*raw_path)));
  if (!fake_only_in("archive", false, failed)) return false;
  const char *fault = fake_path_fault(path);
  if (fault) return fake_fail(failed, BS_DENIED, "path `%.*s`: %s", BS_ARG(path), fault);
  if (!check_attrs(path, attrs, failed)) return false;
  for (size_t at = 0; at < entry_count; at++) {
    const fake_entry *other = &entries[at];
    if (bs_equal(other->path, path)) {
      bool is_same = kind == FAKE_DIR && other->kind == FAKE_DIR && other->attrs.mode == attrs->mode;
      return is_same || fake_fail(failed, BS_DENIED, "%.*s: the step already has an entry of this name", BS_ARG(path));
    }
    if (other->kind != FAKE_DIR && is_below(path, other->path)) {
      return fake_fail(failed, BS_DENIED, "%.*s: it lies below an entry that is no directory", BS_ARG(path));
    }
    if (kind != FAKE_DIR && is_below(other->path, path)) {
      return fake_fail(failed, BS_DENIED, "%.*s: the step has entries below it, so it must be a directory", BS_ARG(path));
    }
  }
  if (!fake_take(BOOTSPLICE_GENERATOR_TYPES_QUOTA_OUTPUT_ENTRIES, 1, failed)) return false;
  if (!charge(ENTRY_COST + path.len + content.len, failed)) return false;
  if (entry_count == entry_room) {
    fake_entry *more = bs_alloc((entry_room * 2 + 16) * sizeof *more);
    if (entry_count) memcpy(more, entries, entry_count * sizeof *more);
    entries = more;
    entry_room = entry_room * 2 + 16;
  }
  bs_str kept = bs_format("%.*s", BS_ARG(path));
  entries[entry_count++] = (fake_entry){
      kind, kept, content, {attrs->mode, bs_of(attrs->owner.val.user), bs_of(attrs->owner.val.group), (bs_conflict)attrs->on_conflict}};
  return true;
}

static bs_str copy(bs_str text) {
  char *ptr = bs_alloc(text.len);
  if (text.len) memcpy(ptr, text.ptr, text.len);
  return (bs_str){ptr, text.len};
}

static bool is_name(bs_str text) {
  for (size_t at = 0; at < text.len; at++) {
    char letter = text.ptr[at];
    bool is_letter = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9');
    if (!is_letter && letter != '.' && letter != '_' && letter != '-') return false;
  }
  return text.len > 0 && text.len <= 128;
}

// Counts placeholders; refuses a misspelt one, and a secret that the configuration does not name.
static bool check_text(bs_str text, bs_str what, size_t *found, raw_error *failed) {
  for (size_t at = 0; at + 2 < text.len; at++) {
    bs_str rest = {text.ptr + at, text.len - at};
    bool is_secret = bs_starts(rest, BS("{{secret:"));
    if (!is_secret && !bs_starts(rest, BS("{{instance:"))) continue;
    const char *close = NULL;
    for (size_t end = 2; end + 1 < rest.len && !close; end++) {
      if (rest.ptr[end] == '}' && rest.ptr[end + 1] == '}') close = rest.ptr + end;
    }
    size_t skip = is_secret ? 9 : 11;
    bs_str name = close ? (bs_str){rest.ptr + skip, (size_t)(close - rest.ptr) - skip} : BS("");
    bool is_known = is_secret ? is_name(name)
                              : bs_equal(name, BS("id")) || bs_equal(name, BS("profile")) ||
                                    (bs_starts(name, BS("attributes.")) && is_name((bs_str){name.ptr + 11, name.len - 11}));
    if (!is_known) {
      bs_str shown = {rest.ptr, rest.len < 60 ? rest.len : 60};
      return fake_fail(failed, BS_UNSUPPORTED,
                       "%.*s`%.*s` is not a placeholder: use {{instance:id}}, {{instance:profile}}, {{instance:attributes.NAME}} or {{secret:NAME}}",
                       BS_ARG(what), BS_ARG(shown));
    }
    if (is_secret && !fake_names_secret(name)) {
      return fake_fail(failed, BS_DENIED, "secret `%.*s` is not named in the step's configuration where its generator says that secrets stand",
                       BS_ARG(name));
    }
    ++*found;
  }
  return true;
}

bool bootsplice_generator_archive_method_sink_put_bytes(raw_sink self, plugin_string_t *path, raw_attrs *attrs, plugin_list_u8_t *content,
                                                        raw_error *failed) {
  (void)self;
  if (content->len > MAX_INLINE) {
    return fake_fail(failed, BS_UNSUPPORTED, "put-bytes of %zu bytes; %d are allowed, use create or a blob for more", content->len, MAX_INLINE);
  }
  return add(FAKE_FILE, path, attrs, copy((bs_str){(const char *)content->ptr, content->len}), failed);
}

bool bootsplice_generator_archive_method_sink_put_blob(raw_sink self, plugin_string_t *path, raw_attrs *attrs,
                                                       bootsplice_generator_archive_borrow_blob_t content, raw_error *failed) {
  (void)self;
  return add(FAKE_FILE, path, attrs, fake_blob_of(content.__handle), failed);
}

bool bootsplice_generator_archive_method_sink_put_template(raw_sink self, plugin_string_t *path, raw_attrs *attrs, plugin_string_t *text,
                                                           bootsplice_generator_archive_template_format_t format, raw_error *failed) {
  (void)self, (void)format;
  if (text->len > MAX_INLINE) {
    return fake_fail(failed, BS_UNSUPPORTED, "put-template of %zu bytes; %d are allowed, use create or a blob for more", text->len, MAX_INLINE);
  }
  size_t found = 0;
  bs_str what = bs_format("template %.*s: ", BS_ARG(bs_of(*path)));
  if (!check_text(bs_of(*text), what, &found, failed)) return false;
  return add(found ? FAKE_TEMPLATE : FAKE_FILE, path, attrs, copy(bs_of(*text)), failed);
}

bool bootsplice_generator_archive_method_sink_put_dir(raw_sink self, plugin_string_t *path, raw_attrs *attrs, raw_error *failed) {
  (void)self;
  return add(FAKE_DIR, path, attrs, BS(""), failed);
}

bool bootsplice_generator_archive_method_sink_put_symlink(raw_sink self, plugin_string_t *path, plugin_string_t *to, raw_error *failed) {
  (void)self;
  const char *fault = fake_path_fault(bs_of(*path)) ? NULL : fake_link_fault(bs_of(*path), bs_of(*to));
  if (fault) return fake_fail(failed, BS_DENIED, "path `%.*s -> %.*s`: %s", BS_ARG(bs_of(*path)), BS_ARG(bs_of(*to)), fault);
  raw_attrs attrs = {.mode = 0777};
  return add(FAKE_SYMLINK, path, &attrs, copy(bs_of(*to)), failed);
}

static bool check_edit(const bootsplice_generator_archive_file_edit_t *edit, uint64_t *bytes, raw_error *failed) {
  bs_str file = bs_of(edit->file);
  const char *fault = fake_path_fault(file);
  if (fault) return fake_fail(failed, BS_UNSUPPORTED, "path `%.*s`: %s", BS_ARG(file), fault);
  if (!edit->changes.len || edit->changes.len > MAX_CHANGES) {
    return fake_fail(failed, BS_UNSUPPORTED, "an edit of %.*s has 1 to %d changes", BS_ARG(file), MAX_CHANGES);
  }
  size_t found = 0;
  for (size_t at = 0; at < edit->changes.len; at++) {
    bs_str path = bs_of(edit->changes.ptr[at].path), value = bs_of(edit->changes.ptr[at].value.val);
    if (!bs_starts(path, BS("/")) || path.len > 4096) {
      return fake_fail(failed, BS_UNSUPPORTED, "`%.*s` is no JSON Pointer below the root of %.*s", BS_ARG(path), BS_ARG(file));
    }
    if (edit->changes.ptr[at].value.is_some && !bs_json_parse(value, NULL)) {
      return fake_fail(failed, BS_UNSUPPORTED, "the value for %.*s of %.*s is no JSON", BS_ARG(path), BS_ARG(file));
    }
    if (!check_text(value, BS(""), &found, failed)) return false;
    *bytes += path.len + value.len;
  }
  return true;
}

static bool check_command(const bootsplice_generator_archive_command_t *command, uint64_t *bytes, raw_error *failed) {
  bs_str interpreter = bs_of(command->interpreter);
  if (!bs_starts(interpreter, BS("/")) && !bs_equal(interpreter, BS("powershell"))) {
    return fake_fail(failed, BS_UNSUPPORTED, "`%.*s` is not the absolute path of an interpreter", BS_ARG(interpreter));
  }
  if (command->text.len > MAX_SCRIPT) {
    return fake_fail(failed, BS_UNSUPPORTED, "the script has %zu bytes; %d are allowed", command->text.len, MAX_SCRIPT);
  }
  size_t found = 0;
  for (size_t at = 0; at < command->environment.len; at++) {
    if (!check_text(bs_of(command->environment.ptr[at].f1), BS(""), &found, failed)) return false;
  }
  if (command->user.is_some && !fake_is_user(bs_of(command->user.val))) {
    return fake_fail(failed, BS_UNSUPPORTED, "`%.*s` is no user's name", BS_ARG(bs_of(command->user.val)));
  }
  *bytes = command->text.len;
  return true;
}

static bool is_unit(bs_str name) {
  static const char *kinds[] = {".service", ".socket", ".timer", ".path", ".mount", ".automount", ".target", ".slice"};
  for (size_t at = 0; at < sizeof kinds / sizeof *kinds; at++) {
    bs_str kind = bs_text(kinds[at]);
    bool ends = name.len > kind.len && name.len <= 255 && !memcmp(name.ptr + name.len - kind.len, kind.ptr, kind.len);
    if (ends && !memchr(name.ptr, '/', name.len) && !memchr(name.ptr, ' ', name.len)) return true;
  }
  return false;
}

bool bootsplice_generator_archive_method_sink_add_action(raw_sink self, bootsplice_generator_archive_action_t *action, raw_error *failed) {
  (void)self;
  uint64_t bytes = 128;
  bool is_good = true;
  if (!fake_only_in("archive", false, failed)) return false;
  if (action->tag == BOOTSPLICE_GENERATOR_ARCHIVE_ACTION_EDIT) is_good = check_edit(&action->val.edit, &bytes, failed);
  if (action->tag == BOOTSPLICE_GENERATOR_ARCHIVE_ACTION_RUN) is_good = check_command(&action->val.run, &bytes, failed);
  if (action->tag == BOOTSPLICE_GENERATOR_ARCHIVE_ACTION_SERVICE && !is_unit(bs_of(action->val.service.unit))) {
    is_good = fake_fail(failed, BS_UNSUPPORTED, "`%.*s` is no unit's name; expected one such as `nginx.service`",
                        BS_ARG(bs_of(action->val.service.unit)));
  }
  if (!is_good) return false;
  if (action_count >= MAX_ACTIONS) return fake_take(BOOTSPLICE_GENERATOR_TYPES_QUOTA_OUTPUT_ENTRIES, UINT64_MAX / 2, failed);
  action_count++;
  return charge(bytes, failed);
}

void bootsplice_generator_archive_sink_drop_borrow(raw_sink handle) { (void)handle; }
