#ifndef CASES_H
#define CASES_H

#include "bootsplice_fake.h"

bs_error *write_case(const bs_json *config, const bs_locked *locked, bs_sink *sink);
void the_shared_cases_end_as_on_a_real_host(void);

#endif
