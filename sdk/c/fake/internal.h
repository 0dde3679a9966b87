// What the files of the fake host share.
#ifndef FAKE_INTERNAL_H
#define FAKE_INTERNAL_H

#include "../src/internal.h"
#include "bootsplice_fake.h"

typedef enum { PURE, RESOLVE, GENERATE } phase;

// One call of a generator, and what it has used up. Quotas by their number in the contract; SCRATCH besides.
#define SCRATCH 9
typedef struct {
  phase phase;
  uint64_t limits[10], used[10];
  bool broken;
  uint8_t quota;
} run;

extern run fake_run;

// True when there is room; else `failed` says which limit was reached, and the run stays failed.
bool fake_take(uint8_t quota, uint64_t amount, raw_error *failed);
bool fake_only_in(const char *what, bool also_resolve, raw_error *failed);
bool fake_fail(raw_error *failed, bs_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

bool fake_blob_new(bs_str content, int32_t *handle, raw_error *failed);
bs_str fake_blob_of(int32_t handle);
void fake_blobs_reset(void);

void fake_web_begin(const bs_json *config, const bs_lock_file *lock);
void fake_web_reset(void);
bool fake_names_secret(bs_str name);

// Entries of a run of generate.
void fake_archive_reset(void);
bs_str fake_unfinished(void);

// NULL when the path is good.
const char *fake_path_fault(bs_str path);
const char *fake_link_fault(bs_str link, bs_str to);
bool fake_is_user(bs_str name);

#endif
