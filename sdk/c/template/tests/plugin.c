// `sh tests/run` in the project's directory.
#include <string.h>

#include "bootsplice_fake.h"

static void the_greeting_is_a_line_of_the_message_of_the_day(void) {
  fake_reset();
  EXPECT(!*fake_launch("{\"greeting\": \"Hello\"}").failed);
  EXPECT(bs_equal(fake_entry_at("/etc/motd.d/{{name}}")->content, BS("Hello\n")));
}

static void a_blank_greeting_is_refused_at_its_place(void) {
  fake_reset();
  fake_result refused = fake_launch("{\"greeting\": \" \"}");
  EXPECT(!strcmp(refused.failed, "invalid-config"));
  EXPECT(bs_equal(refused.pointer, BS("/greeting")));
}

int main(void) {
  the_greeting_is_a_line_of_the_message_of_the_day();
  a_blank_greeting_is_refused_at_its_place();
  return 0;
}
