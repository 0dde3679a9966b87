// A generator for bootsplice: greets whoever logs in.

#include "bootsplice.h"

static const char SCHEMA[] = {
#embed "../schema.json"
};
static const char EXAMPLE[] = "{\"greeting\": \"Welcome to {{instance:id}}\"}";

static bs_descriptor describe(void) {
  static const bs_example examples[] = {{{"A greeting", 10}, {EXAMPLE, sizeof EXAMPLE - 1}}, {0}};
  return (bs_descriptor){
      .id = BS("{{name}}"),
      .version = BS("0.1.0"),
      .title = BS("Greeting"),
      .summary = BS("Greets whoever logs in."),
      .schema = {SCHEMA, sizeof SCHEMA},
      .examples = examples,
  };
}

static bs_str greeting(const bs_json *config) { return bs_string(bs_get(config, "greeting"), BS("")); }

// What the schema cannot say.
static void validate(const bs_target *target, const bs_json *config, bs_findings *found) {
  (void)target;
  bs_str text = greeting(config);
  while (text.len && text.ptr[text.len - 1] == ' ') text.len--;
  if (!text.len) bs_find(found, bs_get(config, "greeting"), BS("blank"), "the greeting is blank: write one, or drop the step");
}

static bs_error *write(const bs_json *config, bs_sink *sink) {
  // The host fills placeholders in per launch.
  return bs_put_template(sink, BS("/etc/motd.d/{{name}}"), bs_format("%.*s\n", BS_ARG(greeting(config))), BS_PLAIN, NULL);
}

// Nothing is fetched, so there is nothing to pin.
static bs_error *resolve(const bs_target *target, const bs_json *config, const bs_locked *previous, bs_lock_file *lock) {
  (void)target, (void)previous;
  bs_sink *meter = bs_meter();
  BS_TRY(write(config, meter));
  lock->max_output = bs_metered(meter);
  return NULL;
}

static bs_error *generate(const bs_target *target, const bs_json *config, const bs_locked *locked, const bs_instance *instance, bs_sink *sink,
                          bs_summary *summary) {
  (void)target, (void)locked, (void)instance, (void)summary;
  return write(config, sink);
}

const bs_generator bs_plugin = {describe, validate, resolve, generate};
