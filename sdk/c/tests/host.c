// The fake host refuses what the real one refuses, and says the same.

#include <stdio.h>
#include <string.h>

#include "bootsplice_fake.h"
#include "cases.h"

// What the generator under test does in generate, and in resolve.
static bs_error *(*writing)(const bs_json *config, const bs_locked *locked, bs_sink *sink);
static bs_error *(*resolving)(const bs_json *config, bs_lock_file *lock);
static uint64_t max_output;

#define URL "https://a.example/x/file"

static bs_descriptor describe(void) {
  static const bs_str fetch[] = {{"https://a.example/", 18}, {0}};
  static const bs_str secrets[] = {{"/secret", 7}, {0}};
  return (bs_descriptor){.id = BS("made"), .version = BS("1.0.0"), .schema = BS("{}"), .fetch = fetch, .secrets = secrets};
}

static void validate(const bs_target *target, const bs_json *config, bs_findings *found) {
  (void)target;
  const bs_json *wrong = bs_get(config, "wrong");
  if (wrong) bs_find(found, wrong->first, BS("wrong"), "it is wrong");
}

static bs_error *resolve(const bs_target *target, const bs_json *config, const bs_locked *previous, bs_lock_file *lock) {
  (void)target, (void)previous;
  lock->max_output = max_output;
  return resolving ? resolving(config, lock) : NULL;
}

static bs_error *generate(const bs_target *target, const bs_json *config, const bs_locked *locked, const bs_instance *instance, bs_sink *sink,
                          bs_summary *summary) {
  (void)target, (void)instance, (void)summary;
  return writing ? writing(config, locked, sink) : NULL;
}

const bs_generator bs_plugin = {describe, validate, resolve, generate};

static void refused(const char *config, const char *code, const char *words) {
  fake_result result = fake_launch(config);
  bs_str message = bs_format("%.*s", BS_ARG(result.message));
  if (strcmp(result.failed, code) || !strstr(message.ptr, words)) {
    fprintf(stderr, "%s: `%s`: %s, not %s with `%s`\n", config, result.failed, message.ptr, code, words);
    fake_expected(__FILE__, __LINE__, "another refusal");
  }
}

static void begin(bs_error *(*write)(const bs_json *, const bs_locked *, bs_sink *)) {
  fake_reset();
  writing = write;
  resolving = NULL;
  max_output = 1 << 20;
}

// --- Archive

static bs_error *write_file(const bs_json *config, const bs_locked *locked, bs_sink *sink) {
  (void)locked;
  bs_attrs attrs = {.mode = bs_get(config, "mode") ? (uint32_t)bs_get(config, "mode")->number : 0644,
                    .user = bs_string(bs_get(config, "user"), BS("")),
                    .on_conflict = BS_REPLACE};
  return bs_put_file(sink, bs_string(bs_get(config, "path"), BS("/x")), BS("x"), &attrs);
}

static void a_path_has_one_form(void) {
  begin(write_file);
  static const char *const wrong[] = {"etc/motd", "/etc//motd", "/etc/../x", "/etc/.", "/a\\nb", "~a b/x", "~ada", "/\\u202etxt", "/etc/"};
  for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) refused(bs_format("{\"path\": \"%s\"}", wrong[at]).ptr, "denied", "path `");
  fake_result good = fake_launch("{\"path\": \"~ada/notes.txt\", \"user\": \"ada\"}");
  EXPECT(!*good.failed);
  EXPECT(bs_equal(fake_entry_at("~ada/notes.txt")->attrs.group, BS("ada")));
}

static void modes_and_owners_are_checked(void) {
  begin(write_file);
  refused("{\"mode\": 2541}", "denied", "4755 has bits beyond 0777");
  refused("{\"user\": \"a b\"}", "denied", "no user's or group's name");
}

static bs_error *write_twice(const bs_json *config, const bs_locked *locked, bs_sink *sink) {
  (void)locked;
  if (bs_get(config, "link")) {
    BS_TRY(bs_put_symlink(sink, BS("/a"), bs_get(config, "link")->text));
    return bs_put_file(sink, BS("/a/x"), BS("1"), NULL);
  }
  BS_TRY(bs_put_file(sink, BS("/a/b"), BS("1"), NULL));
  return bs_put_file(sink, bs_get(config, "again")->text, BS("2"), NULL);
}

static void a_name_stands_once_and_nothing_lies_below_a_file(void) {
  begin(write_twice);
  refused("{\"again\": \"/a/b\"}", "denied", "already has an entry");
  refused("{\"again\": \"/a\"}", "denied", "has entries below it");
  refused("{\"link\": \"b\"}", "denied", "below an entry that is no directory");
  refused("{\"link\": \"../../b\"}", "denied", "leads out of its root");
}

static bs_error *write_stubbornly(const bs_json *config, const bs_locked *locked, bs_sink *sink) {
  (void)config, (void)locked;
  static const char big[20000];
  bs_error *failed = bs_put_file(sink, BS("/big"), (bs_str){big, sizeof big}, NULL);
  EXPECT(failed && failed->code == BS_QUOTA_EXCEEDED);
  return NULL;
}

static bs_error *write_many(const bs_json *config, const bs_locked *locked, bs_sink *sink) {
  (void)config, (void)locked;
  for (int at = 0; at < 9; at++) BS_TRY(bs_put_file(sink, bs_format("/%d", at), BS(""), NULL));
  return NULL;
}

static void an_output_bomb_stays_broken_even_if_the_generator_goes_on(void) {
  begin(write_stubbornly);
  fake_limit((fake_limits){.output_bytes = 10000});
  refused("{}", "quota-exceeded", "output-bytes");
  begin(write_many);
  fake_limit((fake_limits){.output_entries = 8});
  refused("{}", "quota-exceeded", "output-entries");
}

static void more_than_the_lock_file_said_is_a_fault(void) {
  begin(write_file);
  max_output = 10;
  refused("{}", "fault", "the lock file said 10");
}

static bs_error *write_template(const bs_json *config, const bs_locked *locked, bs_sink *sink) {
  (void)locked;
  return bs_put_template(sink, BS("/x"), bs_get(config, "text")->text, BS_PLAIN, NULL);
}

static void placeholders_are_known_and_secrets_named(void) {
  begin(write_template);
  refused("{\"text\": \"{{instance:ip}}\"}", "unsupported", "is not a placeholder");
  refused("{\"text\": \"{{secret:\"}", "unsupported", "is not a placeholder");
  begin(write_template);
  EXPECT(!*fake_launch("{\"text\": \"{{instance:attributes.role}} {{jinja}}\"}").failed);
  EXPECT(fake_entry_at("/x")->kind == FAKE_TEMPLATE);
  EXPECT(!*fake_launch("{\"text\": \"{{secret:key}}\", \"secret\": \"key\"}").failed);
}

static bs_error *act(const bs_json *config, const bs_locked *locked, bs_sink *sink) {
  (void)locked;
  static const char large[65537];
  if (bs_get(config, "unit")) return bs_service(sink, bs_get(config, "unit")->text, true, true);
  if (bs_get(config, "edit")) return bs_edit(sink, BS("/x"), BS_EDIT_INI, NULL, 0, false);
  bs_command command = {.interpreter = bs_string(bs_get(config, "with"), BS("")), .text = {large, bs_get(config, "with") ? 1 : sizeof large}};
  return bs_run(sink, command);
}

static void actions_are_checked(void) {
  begin(act);
  refused("{\"unit\": \"nginx\"}", "unsupported", "no unit's name");
  refused("{\"with\": \"sh\"}", "unsupported", "interpreter");
  refused("{\"edit\": 1}", "unsupported", "1 to 10000 changes");
  refused("{}", "unsupported", "65537 bytes");
  EXPECT(!*fake_launch("{\"unit\": \"nginx.service\"}").failed);
  EXPECT(fake_action_count() == 1);
}

// --- Fetch

static bs_error *pin(const bs_json *config, bs_lock_file *lock) {
  bs_blob content;
  lock->pins = bs_alloc(sizeof *lock->pins);
  lock->pin_count = 1;
  return bs_pin_source(BS("it"), config, lock->pins, &content);
}

static bs_error *write_pinned(const bs_json *config, const bs_locked *locked, bs_sink *sink) {
  bs_blob content;
  if (bs_get(config, "loose")) return bs_fetch((bs_request){.url = BS(URL)}, &content);
  BS_TRY(bs_open_pin(locked, bs_string(bs_get(config, "name"), BS("it")), &content));
  return bs_put_blob(sink, BS("/x"), content, NULL);
}

static void generate_fetches_only_what_is_pinned(void) {
  begin(write_pinned);
  resolving = pin;
  fake_file(URL, BS("bytes"));
  EXPECT(!*fake_launch("{\"url\": \"" URL "\"}").failed);
  EXPECT(bs_equal(fake_entry_at("/x")->content, BS("bytes")));
  refused("{\"url\": \"" URL "\", \"loose\": 1}", "denied", "names the digest of a pin");
  refused("{\"url\": \"" URL "\", \"name\": \"other\"}", "not-found", "no pin `other`");
}

static void bytes_are_what_was_promised(void) {
  begin(NULL);
  resolving = pin;
  fake_file(URL, BS("abc"));
  // FIPS 180-4, appendix B.1.
  EXPECT(!*fake_launch("{\"url\": \"" URL "\", \"sha256\": \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}").failed);
  refused("{\"url\": \"" URL "\", \"sha256\": \"0000000000000000000000000000000000000000000000000000000000000000\"}", "integrity", "was promised");
  refused("{\"url\": \"" URL "2\"}", "not-found", "404");
  refused("{\"url\": \"https://b.example/\"}", "denied", "no grant of this step covers it");
  refused("{\"url\": \"" URL "\", \"credential\": \"token\"}", "denied", "secret `token` is not granted");
  fake_limit((fake_limits){.fetch_bytes = 2});
  refused("{\"url\": \"" URL "\"}", "quota-exceeded", "fetch-bytes");
}

// --- Errors

static bs_error *check(const bs_json *config, const bs_locked *locked, bs_sink *sink) {
  (void)locked, (void)sink;
  BS_CHECK(!bs_get(config, "broken"));
  return bs_config_error(bs_get(config, "a/b"), "it is %s", "odd");
}

static void errors_name_file_and_line_or_the_place_in_the_configuration(void) {
  begin(check);
  refused("{\"broken\": 1}", "fault", "host.c:");
  refused("{\"broken\": 1}", "fault", ": !bs_get(config, \"broken\")");
  EXPECT(bs_equal(fake_launch("{\"a/b\": 1}").pointer, BS("/a~1b")));
  EXPECT(bs_equal(fake_launch("{\"wrong\": [{}]}").pointer, BS("/wrong/0")));
}

static void json_is_read_as_its_standard_says(void) {
  static const char *const wrong[] = {"", "{", "[1,]", "{\"a\" 1}", "01", "-", "1 2", "\"\\x\"", "\"\\ud800\"", "\"\n\"", "nul", "[1"};
  for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) EXPECT(!bs_json_parse(bs_text(wrong[at]), NULL));
  const bs_json *made = bs_json_parse(BS("{\"a\": [1, -2.5e3, true, null, \"\\u00fc\\ud83e\\udd80\\n\"]}"), NULL);
  const bs_json *list = bs_get(made, "a");
  EXPECT(list->count == 5 && list->first->next->number == -2500);
  const bs_json *last = list->first->next->next->next->next;
  EXPECT(bs_equal(last->text, BS("ü🦀\n")) && bs_equal(bs_pointer(last), BS("/a/4")));
  EXPECT(bs_equal(bs_quoted(BS("a\"\\\n")), BS("\"a\\\"\\\\\\u000a\"")));
  bs_buffer deep = {0};
  for (int at = 0; at < 100000; at++) bs_add(&deep, BS("["));
  bs_str fault;
  EXPECT(!bs_json_parse(bs_made(&deep), &fault) && bs_starts(fault, BS("more than 64 levels")));
}

int main(void) {
  a_path_has_one_form();
  modes_and_owners_are_checked();
  a_name_stands_once_and_nothing_lies_below_a_file();
  an_output_bomb_stays_broken_even_if_the_generator_goes_on();
  more_than_the_lock_file_said_is_a_fault();
  placeholders_are_known_and_secrets_named();
  actions_are_checked();
  generate_fetches_only_what_is_pinned();
  bytes_are_what_was_promised();
  errors_name_file_and_line_or_the_place_in_the_configuration();
  json_is_read_as_its_standard_says();
  begin(write_case);
  the_shared_cases_end_as_on_a_real_host();
  return 0;
}
