// The network as a table of URLs, behind the descriptor's wishes and pins as on a real host. The operator granted every URL in the table.

#include <string.h>

#include "internal.h"

#define MAX_FILES 64
#define MAX_SECRETS 64

static struct {
  bs_str url, content;
} files[MAX_FILES];
static bs_str wishes[MAX_FILES], secrets[MAX_SECRETS];
static size_t file_count, wish_count, secret_count;
static const bs_lock_file *lock_file;

void fake_web_reset(void) { file_count = 0; }

void fake_file(const char *url, bs_str content) {
  if (file_count == MAX_FILES) fake_expected(__FILE__, __LINE__, "at most 64 files");
  files[file_count].url = bs_text(url);
  files[file_count++].content = content;
}

// Texts at a pointer whose tokens may be `*`.
static void select_texts(const bs_json *value, bs_str pattern, bs_str *into, size_t *count, size_t most) {
  if (!value) return;
  if (!pattern.len) {
    if (value->kind == BS_STRING && *count < most) into[(*count)++] = value->text;
    return;
  }
  pattern = (bs_str){pattern.ptr + 1, pattern.len - 1};
  const char *slash = pattern.len ? memchr(pattern.ptr, '/', pattern.len) : NULL;
  bs_str token = {pattern.ptr, slash ? (size_t)(slash - pattern.ptr) : pattern.len};
  bs_str rest = {pattern.ptr + token.len, pattern.len - token.len};
  for (const bs_json *child = value->first; child; child = child->next) {
    bs_str name = value->kind == BS_ARRAY ? bs_format("%zu", child->index) : child->key;
    if (bs_equal(token, BS("*")) || bs_equal(token, name)) select_texts(child, rest, into, count, most);
  }
}

// Secrets that placeholders in the configuration name.
static void name_secrets(const bs_json *value) {
  static const bs_str open = {"{{secret:", 9};
  for (size_t at = 0; value->kind == BS_STRING && at + open.len < value->text.len; at++) {
    bs_str rest = {value->text.ptr + at, value->text.len - at};
    const char *end = bs_starts(rest, open) ? memchr(rest.ptr, '}', rest.len) : NULL;
    if (end && secret_count < MAX_SECRETS) secrets[secret_count++] = (bs_str){rest.ptr + open.len, (size_t)(end - rest.ptr) - open.len};
  }
  for (const bs_json *child = value->first; child; child = child->next) name_secrets(child);
}

void fake_web_begin(const bs_json *config, const bs_lock_file *lock) {
  static const bs_str from_config = {"${config:", 9};
  bs_descriptor made = bs_plugin.describe();
  lock_file = lock;
  wish_count = secret_count = 0;
  for (const bs_str *wish = made.fetch; wish && wish->ptr; wish++) {
    if (bs_starts(*wish, from_config)) {
      select_texts(config, (bs_str){wish->ptr + from_config.len, wish->len - from_config.len - 1}, wishes, &wish_count, MAX_FILES);
    } else if (wish_count < MAX_FILES) {
      wishes[wish_count++] = *wish;
    }
  }
  for (const bs_str *at = made.secrets; at && at->ptr; at++) select_texts(config, *at, secrets, &secret_count, MAX_SECRETS);
  name_secrets(config);
}

bool fake_names_secret(bs_str name) {
  for (size_t at = 0; at < secret_count; at++) {
    if (bs_equal(secrets[at], name)) return true;
  }
  return false;
}

// Whole segments of a wish, or `https://*/`.
static bool is_granted(bs_str url) {
  for (size_t at = 0; at < wish_count; at++) {
    bs_str wish = wishes[at];
    if (bs_equal(wish, BS("https://*/"))) {
      if (bs_starts(url, BS("https://"))) return true;
      continue;
    }
    while (wish.len && wish.ptr[wish.len - 1] == '/') wish.len--;
    if (bs_starts(url, wish) && (url.len == wish.len || url.ptr[wish.len] == '/')) return true;
  }
  return false;
}

bool bootsplice_generator_fetch_get(bootsplice_generator_fetch_request_t *request, bootsplice_generator_fetch_response_t *response,
                                    raw_error *failed) {
  memset(response, 0, sizeof *response);
  if (!fake_only_in("fetch", true, failed)) return false;
  bs_str digest = bs_of(request->digest.val), url = bs_of(request->urls.ptr[0]);
  uint64_t most = request->max_size;
  if (fake_run.phase == GENERATE) {
    if (!request->digest.is_some) return fake_fail(failed, BS_DENIED, "in generate a fetch names the digest of a pin");
    const bs_pin *pin = NULL;
    for (size_t at = 0; at < lock_file->pin_count; at++) {
      if (bs_equal(lock_file->pins[at].digest, digest)) pin = &lock_file->pins[at];
    }
    if (!pin) return fake_fail(failed, BS_DENIED, "%.*s is not in the lock", BS_ARG(digest));
    url = pin->url;
    most = pin->size;
  }
  if (!fake_take(BOOTSPLICE_GENERATOR_TYPES_QUOTA_FETCH_COUNT, 1, failed)) return false;
  if (!is_granted(url)) return fake_fail(failed, BS_DENIED, "%.*s: no grant of this step covers it", BS_ARG(url));
  bs_str credential = bs_of(request->credential.val);
  if (request->credential.is_some && !fake_names_secret(credential)) {
    return fake_fail(failed, BS_DENIED, "secret `%.*s` is not granted to this step", BS_ARG(credential));
  }
  for (size_t at = 0; at < file_count; at++) {
    if (!bs_equal(files[at].url, url)) continue;
    bs_str content = files[at].content;
    if (content.len > most) return fake_take(BOOTSPLICE_GENERATOR_TYPES_QUOTA_FETCH_BYTES, UINT64_MAX / 2, failed);
    if (!fake_take(BOOTSPLICE_GENERATOR_TYPES_QUOTA_FETCH_BYTES, content.len, failed)) return false;
    if (!fake_blob_new(content, &response->content.__handle, failed)) return false;
    bs_str actual = bs_blob_digest((bs_blob){response->content.__handle});
    if (!request->digest.is_some || bs_equal(actual, digest)) return true;
    failed->tag = BS_INTEGRITY;
    failed->val.integrity.expected = bs_lend(digest);
    failed->val.integrity.actual = bs_lend(actual);
    failed->val.integrity.url = bs_lend(url);
    return false;
  }
  return fake_fail(failed, BS_NOT_FOUND, "%.*s answered 404", BS_ARG(url));
}
