// Values between the SDK and the bindings.

#include <string.h>

#include "internal.h"

plugin_string_t bs_give(bs_str text) {
  plugin_string_t raw;
  plugin_string_dup_n(&raw, text.ptr ? text.ptr : "", text.len);
  return raw;
}

bs_error *bs_of_error(const raw_error *raw) {
  bs_error *error = bs_alloc(sizeof *error);
  // The contract's order is the SDK's.
  error->code = (bs_code)raw->tag;
  switch (error->code) {
    case BS_INVALID_CONFIG:
      error->message = BS("the configuration is at fault");
      break;
    case BS_INTEGRITY:
      error->expected = bs_of(raw->val.integrity.expected);
      error->actual = bs_of(raw->val.integrity.actual);
      error->url = bs_of(raw->val.integrity.url);
      error->message =
          bs_format("%.*s gave %.*s, but %.*s was promised", BS_ARG(error->url), BS_ARG(error->actual), BS_ARG(error->expected));
      break;
    case BS_UNTRUSTED:
      error->reason = raw->val.untrusted.reason;
      error->message = bs_of(raw->val.untrusted.message);
      break;
    case BS_QUOTA_EXCEEDED:
      error->reason = raw->val.quota_exceeded;
      error->message = BS("a limit of the run was reached");
      break;
    case BS_UPSTREAM:
      error->retry_after_ms = raw->val.upstream.retry_after_ms.is_some ? raw->val.upstream.retry_after_ms.val : 0;
      error->message = bs_of(raw->val.upstream.message);
      break;
    case BS_CANCELLED:
      error->message = BS("cancelled");
      break;
    default:
      // The rest hold a text alone, at the same place.
      error->message = bs_of(raw->val.fault);
  }
  return error;
}

void bs_give_findings(const bs_finding *first, bootsplice_generator_types_list_diagnostic_t *raw) {
  *raw = (bootsplice_generator_types_list_diagnostic_t){NULL, 0};
  for (const bs_finding *finding = first; finding; finding = finding->next) raw->len++;
  if (!raw->len) return;
  raw->ptr = bs_alloc(raw->len * sizeof *raw->ptr);
  bootsplice_generator_types_diagnostic_t *to = raw->ptr;
  for (const bs_finding *finding = first; finding; finding = finding->next, to++) {
    to->severity = (uint8_t)finding->severity;
    to->pointer = bs_give(finding->pointer);
    to->code = bs_give(finding->code);
    to->message = bs_give(finding->message);
    to->hint.is_some = finding->hint.len > 0;
    if (to->hint.is_some) to->hint.val = bs_give(finding->hint);
  }
}

void bs_give_error(const bs_error *error, raw_error *raw) {
  memset(raw, 0, sizeof *raw);
  raw->tag = (uint8_t)error->code;
  switch (error->code) {
    case BS_INVALID_CONFIG:
      bs_give_findings(error->findings, &raw->val.invalid_config);
      break;
    case BS_INTEGRITY:
      raw->val.integrity.expected = bs_give(error->expected);
      raw->val.integrity.actual = bs_give(error->actual);
      raw->val.integrity.url = bs_give(error->url);
      break;
    case BS_UNTRUSTED:
      raw->val.untrusted.reason = error->reason;
      raw->val.untrusted.message = bs_give(error->message);
      break;
    case BS_QUOTA_EXCEEDED:
      raw->val.quota_exceeded = error->reason;
      break;
    case BS_UPSTREAM:
      raw->val.upstream.message = bs_give(error->message);
      raw->val.upstream.retry_after_ms.is_some = error->retry_after_ms > 0;
      raw->val.upstream.retry_after_ms.val = error->retry_after_ms;
      break;
    case BS_CANCELLED:
      break;
    default:
      raw->val.fault = bs_give(error->message);
  }
}
