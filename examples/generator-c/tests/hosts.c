#include <string.h>

#include "bootsplice_fake.h"

#define URL "https://names.example.com/hosts"

static bool ends(bs_str text, const char *with) {
  bs_str end = bs_text(with);
  return text.len >= end.len && !memcmp(text.ptr + text.len - end.len, end.ptr, end.len);
}

static void entries_and_the_own_line_are_one_template(void) {
  fake_reset();
  fake_result result = fake_launch(
      "{\"own\": {\"domain\": \"x.example\"}, \"entries\": [{\"address\": \"10.0.0.5\", \"names\": [\"db.x.example\", \"db\"]},"
      " {\"address\": \"fd00::7\", \"names\": [\"mirror\"]}]}");
  EXPECT(!*result.failed);
  EXPECT(bs_equal(result.note, BS("2 entries in /etc/hosts")));
  const fake_entry *hosts = fake_entry_at("/etc/hosts");
  EXPECT(hosts->kind == FAKE_TEMPLATE && hosts->attrs.on_conflict == BS_BACKUP);
  EXPECT(ends(hosts->content, "\n127.0.1.1\t{{instance:id}}.x.example {{instance:id}}\n10.0.0.5\tdb.x.example db\nfd00::7\tmirror\n"));
}

static void a_file_from_elsewhere_is_read_line_by_line(void) {
  fake_reset();
  fake_file(URL, BS("# ours\n\n10.1.0.1   a  b # both\r\n::2\tc"));
  fake_result result = fake_launch("{\"source\": {\"url\": \"" URL "\"}}");
  EXPECT(!*result.failed);
  EXPECT(ends(fake_entry_at("/etc/hosts")->content, "\n10.1.0.1\ta b\n::2\tc\n"));
}

static void a_wrong_line_is_named(void) {
  static const char *const wrong[][2] = {
      {"10.0.0.1 a\n10.0.0.256 b\n", "line 2: `10.0.0.256` is no address"},
      {"10.0.0.1 a_b\n", "line 1: `a_b` is no host's name"},
      {"\n\n10.0.0.1\n", "line 3: 10.0.0.1 has no name"},
  };
  for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
    fake_reset();
    fake_file(URL, bs_text(wrong[at][0]));
    fake_result result = fake_launch("{\"source\": {\"url\": \"" URL "\"}}");
    EXPECT(!strcmp(result.failed, "invalid-config"));
    EXPECT(bs_equal(result.pointer, BS("/source/url")));
    EXPECT(bs_equal(result.message, bs_text(wrong[at][1])));
  }
}

static void what_is_no_hosts_file_is_a_fault_with_file_and_line(void) {
  fake_reset();
  fake_file(URL, (bs_str){"PK\0", 3});
  fake_result result = fake_launch("{\"source\": {\"url\": \"" URL "\"}}");
  EXPECT(!strcmp(result.failed, "fault"));
  EXPECT(bs_starts(result.message, BS("entries.c:")));
}

static void findings_have_pointers(void) {
  fake_reset();
  EXPECT(bs_equal(fake_launch("{\"entries\": [{\"address\": \"10.0.0.5\", \"names\": [\"a\", \"-b\"]}]}").pointer, BS("/entries/0/names/1")));
  EXPECT(bs_equal(fake_launch("{\"entries\": [{\"address\": \"ten\", \"names\": [\"a\"]}]}").pointer, BS("/entries/0/address")));
  EXPECT(bs_equal(fake_launch("{\"own\": {\"domain\": \"a..b\"}}").pointer, BS("/own/domain")));
}

int main(void) {
  entries_and_the_own_line_are_one_template();
  a_file_from_elsewhere_is_read_line_by_line();
  a_wrong_line_is_named();
  what_is_no_hosts_file_is_a_fault_with_file_and_line();
  findings_have_pointers();
  return 0;
}
