// A host for native tests: runs the generator through the same calls, checks and errors as a real one, without a network.
//
// Compile it with the generator's sources and the SDK's (src/*.c), in place of the bindings. It does not validate against the schema, verifies no
// signatures, decompresses and unpacks nothing, takes names that differ only in their Unicode form for different ones, and measures neither
// memory nor processor time.
#ifndef BOOTSPLICE_FAKE_H
#define BOOTSPLICE_FAKE_H

#include "bootsplice.h"

typedef struct {
  uint64_t output_bytes, output_entries, log_bytes, fetches, fetch_bytes, handles, scratch_bytes;
} fake_limits;

typedef enum { FAKE_FILE, FAKE_TEMPLATE, FAKE_DIR, FAKE_SYMLINK } fake_kind;

typedef struct {
  fake_kind kind;
  bs_str path;
  // A file's or template's content, or a link's target.
  bs_str content;
  bs_attrs attrs;
} fake_entry;

// What a launch came to.
typedef struct {
  // Empty when all went well; else a case of the contract's error: "denied", "invalid-config".
  const char *failed;
  bs_str message;
  // Of the first finding of an invalid configuration.
  bs_str pointer;
  bs_str note;
} fake_result;

// Begins anew: no files, the host's own limits.
void fake_reset(void);
void fake_limit(fake_limits limits);
// A file of the network. The operator granted each of them.
void fake_file(const char *url, bs_str content);
// All calls in the host's order.
fake_result fake_launch(const char *config);
// An entry of the last launch; NULL when there is none.
const fake_entry *fake_entry_at(const char *path);
size_t fake_entry_count(void);
size_t fake_action_count(void);
// Lines of the log, each ended.
bs_str fake_log(void);

// For tests: says what was expected and ends the program with 1.
#define EXPECT(condition) \
  do { \
    if (!(condition)) fake_expected(__FILE__, __LINE__, #condition); \
  } while (0)
void fake_expected(const char *file, int line, const char *what);

#endif
