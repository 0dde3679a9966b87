// Cases that every SDK's fake host and the engine share.

#include <stdio.h>
#include <string.h>

#include "cases.h"

static const char SHARED[] = {
#embed "../../cases.json"
};

// A text, or some letters `x` behind another.
static bs_str name(const bs_json *value) {
  if (!value || value->kind == BS_STRING) return bs_string(value, BS(""));
  bs_buffer made = {0};
  bs_add(&made, bs_get(value, "before")->text);
  for (int at = 0; at < (int)bs_get(value, "x")->number; at++) bs_add(&made, BS("x"));
  return bs_made(&made);
}

static bs_str letters(const bs_json *size) {
  bs_buffer made = {0};
  for (int at = 0; size && at < (int)size->number; at++) bs_add(&made, BS("x"));
  return bs_made(&made);
}

static bs_error *call(const bs_json *made, bs_sink *sink) {
  const bs_json *mode = bs_get(made, "mode"), *set = bs_get(made, "set");
  bool is_dir = bs_get(made, "dir");
  bs_str user = name(bs_get(made, "user"));
  bs_attrs attrs = {mode ? (uint32_t)mode->number : is_dir ? 0755 : 0644, user, name(bs_get(made, "group")), BS_REPLACE};
  bs_str text = letters(bs_get(made, "size"));
  if (bs_get(made, "file")) return bs_put_file(sink, name(bs_get(made, "file")), text, &attrs);
  if (is_dir) return bs_put_dir(sink, name(bs_get(made, "dir")), &attrs);
  if (bs_get(made, "template")) return bs_put_template(sink, name(bs_get(made, "template")), name(bs_get(made, "text")), BS_PLAIN, NULL);
  if (bs_get(made, "symlink")) return bs_put_symlink(sink, name(bs_get(made, "symlink")), name(bs_get(made, "to")));
  if (bs_get(made, "service")) return bs_service(sink, name(bs_get(made, "service")), true, true);
  if (bs_get(made, "run")) return bs_run(sink, (bs_command){.interpreter = name(bs_get(made, "run")), .text = text, .user = user});
  const bs_json *value = bs_get(set, "value");
  bs_str json = BS("1");
  if (value && value->kind == BS_STRING) json = bs_quoted(value->text);
  if (value && value->kind == BS_ARRAY) json = bs_format("[%.*s]", BS_ARG(bs_quoted(value->first->text)));
  bs_change change = {BS_SET, name(bs_get(set, "path")), json};
  return bs_edit(sink, name(bs_get(made, "edit")), BS_EDIT_INI, &change, set ? 1 : 0, false);
}

static const bs_json *calls;

bs_error *write_case(const bs_json *config, const bs_locked *locked, bs_sink *sink) {
  (void)config, (void)locked;
  for (const bs_json *made = calls->first; made; made = made->next) BS_TRY(call(made, sink));
  return NULL;
}

void the_shared_cases_end_as_on_a_real_host(void) {
  bs_str fault;
  const bs_json *shared = bs_json_parse((bs_str){SHARED, sizeof SHARED}, &fault);
  EXPECT(shared);
  size_t wrong = 0;
  for (const bs_json *each = bs_get(shared, "cases")->first; each; each = each->next) {
    calls = bs_get(each, "do");
    fake_limit((fake_limits){.output_bytes = 100000, .output_entries = 10});
    fake_result result = fake_launch("{\"secret\": \"key\"}");
    const bs_json *refused = bs_get(each, "refused");
    bs_str message = bs_format("%.*s", BS_ARG(result.message));
    bs_str words = bs_format("%.*s", BS_ARG(name(bs_get(refused, "words"))));
    if (!bs_equal(bs_text(result.failed), name(bs_get(refused, "code"))) || !strstr(message.ptr, words.ptr)) {
      fprintf(stderr, "%.*s: `%s` %s\n", BS_ARG(name(bs_get(each, "name"))), result.failed, message.ptr);
      wrong++;
    }
  }
  EXPECT(!wrong);
}
