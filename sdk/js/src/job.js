// What people see while the work runs.
import { contract } from '#contract';

/** @param {string} level */
const at = (level) => (/** @type {string} */ message, /** @type {Record<string, unknown>} */ fields = {}) =>
  contract.job.log(level, message, Object.entries(fields).map(([name, value]) => [name, String(value)]));

/** `log.info('read', {users: 12})`. At most 1 MiB a run; what is dropped is counted, and nothing blocks. */
export const log = { trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };

/** @param {string} stage @param {number} done @param {number} [total] */
export function progress(stage, done, total) {
  contract.job.progress(stage, done, total ?? null);
}

/** The host interrupts anyhow; this allows a tidy stop. */
export function isCancelled() {
  return contract.job.isCancelled();
}
