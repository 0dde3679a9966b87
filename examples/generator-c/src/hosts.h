// Entries of a hosts file: hosts(5).
#ifndef HOSTS_H
#define HOSTS_H

#include "bootsplice.h"

// An IPv4 or IPv6 address, without a zone.
bool is_address(bs_str text);
// A host's name: RFC 1123, at most 253 bytes.
bool is_name(bs_str text);
// Adds the entries of a hosts file in one form. What is wrong with it is an error at `at`, with its line.
bs_error *add_entries(bs_str text, const bs_json *at, bs_buffer *to, size_t *count);

#endif
