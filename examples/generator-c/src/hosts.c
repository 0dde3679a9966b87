// A generator for /etc/hosts: entries of the step, of a file elsewhere, and this very machine's line.
//
//   - id: names
//     use: hosts
//     at: base
//     with:
//       own: {domain: internal.example.com}
//       entries: [{address: 10.0.0.5, names: [db]}]

#include "hosts.h"

#define LIMIT (4 << 20)

static const char SCHEMA[] = {
#embed "../schema.json"
};
static const char TEAM[] = {
#embed "../examples/team.json"
};

static const char HEAD[] =
    "# Made by bootsplice; changes are lost when the machine is made anew.\n"
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n";

static bs_descriptor describe(void) {
  static const bs_str fetch[] = {{"${config:/source/url}", 21}, {0}};
  static const bs_str secrets[] = {{"/source/credential", 18}, {0}};
  static const bs_example examples[] = {{{"A team's machines", 17}, {TEAM, sizeof TEAM}}, {0}};
  return (bs_descriptor){
      .id = BS("hosts"),
      .version = BS("0.1.0"),
      .title = BS("Hosts"),
      .summary = BS("Names of machines in /etc/hosts, this one's own among them."),
      .stage = BS_FILES,
      .fetch = fetch,
      .secrets = secrets,
      .schema = {SCHEMA, sizeof SCHEMA},
      .examples = examples,
  };
}

static void validate(const bs_target *target, const bs_json *config, bs_findings *found) {
  (void)target;
  const bs_json *own = bs_get(config, "own"), *entries = bs_get(config, "entries");
  const bs_json *address = bs_get(own, "address"), *domain = bs_get(own, "domain");
  if (address && !is_address(address->text)) bs_find(found, address, BS("invalid-address"), "`%.*s` is no address", BS_ARG(address->text));
  if (domain && !is_name(domain->text)) bs_find(found, domain, BS("invalid-name"), "`%.*s` is no domain", BS_ARG(domain->text));
  for (const bs_json *entry = entries ? entries->first : NULL; entry; entry = entry->next) {
    address = bs_get(entry, "address");
    if (!is_address(bs_string(address, BS("")))) {
      bs_find(found, address ? address : entry, BS("invalid-address"), "`%.*s` is no address", BS_ARG(bs_string(address, BS(""))));
    }
    const bs_json *names = bs_get(entry, "names");
    for (const bs_json *name = names ? names->first : NULL; name; name = name->next) {
      if (!is_name(name->text)) bs_find(found, name, BS("invalid-name"), "`%.*s` is no host's name", BS_ARG(name->text));
    }
  }
}

// `more` is the file from elsewhere; empty when there is none.
static bs_error *write(const bs_json *config, bs_str more, bs_sink *sink, size_t *count) {
  bs_buffer made = {0};
  bs_add(&made, bs_text(HEAD));
  const bs_json *own = bs_get(config, "own"), *entries = bs_get(config, "entries");
  if (own) {
    bs_str domain = bs_string(bs_get(own, "domain"), BS(""));
    bs_add(&made, bs_string(bs_get(own, "address"), BS("127.0.1.1")));
    if (domain.len) bs_add(&made, bs_format("\t{{instance:id}}.%.*s {{instance:id}}\n", BS_ARG(domain)));
    if (!domain.len) bs_add(&made, BS("\t{{instance:id}}\n"));
  }
  for (const bs_json *entry = entries ? entries->first : NULL; entry; entry = entry->next, ++*count) {
    bs_add(&made, bs_string(bs_get(entry, "address"), BS("")));
    const bs_json *names = bs_get(entry, "names");
    for (const bs_json *name = names ? names->first : NULL; name; name = name->next) {
      bs_add(&made, name->index ? BS(" ") : BS("\t"));
      bs_add(&made, name->text);
    }
    bs_add(&made, BS("\n"));
  }
  BS_TRY(add_entries(more, bs_get(bs_get(config, "source"), "url"), &made, count));
  // The image has one, which the agent keeps beside it.
  bs_attrs attrs = {.mode = 0644, .on_conflict = BS_BACKUP};
  return bs_put_template(sink, BS("/etc/hosts"), bs_made(&made), BS_PLAIN, &attrs);
}

static bs_error *resolve(const bs_target *target, const bs_json *config, const bs_locked *previous, bs_lock_file *lock) {
  (void)target, (void)previous;
  bs_str more = {0};
  const bs_json *source = bs_get(config, "source");
  if (source) {
    bs_blob content;
    lock->pins = bs_alloc(sizeof *lock->pins);
    lock->pin_count = 1;
    BS_TRY(bs_pin_source(BS("hosts"), source, lock->pins, &content));
    BS_TRY(bs_blob_text(content, LIMIT, &more));
  }
  size_t count = 0;
  bs_sink *meter = bs_meter();
  BS_TRY(write(config, more, meter, &count));
  lock->max_output = bs_metered(meter);
  bs_log(BS_LOG_INFO, "read %zu entries", count);
  return NULL;
}

static bs_error *generate(const bs_target *target, const bs_json *config, const bs_locked *locked, const bs_instance *instance, bs_sink *sink,
                          bs_summary *summary) {
  (void)target, (void)instance;
  bs_str more = {0};
  if (bs_get(config, "source")) {
    bs_blob content;
    BS_TRY(bs_open_pin(locked, BS("hosts"), &content));
    BS_TRY(bs_blob_text(content, LIMIT, &more));
  }
  size_t count = 0;
  BS_TRY(write(config, more, sink, &count));
  summary->note = bs_format("%zu entries in /etc/hosts", count);
  return NULL;
}

const bs_generator bs_plugin = {describe, validate, resolve, generate};
