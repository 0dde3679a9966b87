// What can go wrong, as exceptions: each carries a case of the contract's `error`. Any other exception reaches the host as `fault`.

/** An error that the contract names: `new GeneratorError('denied', 'why')`. */
export class GeneratorError extends Error {
  /** @param {string} tag @param {any} val @param {string} [message] */
  constructor(tag, val, message) {
    super(message ?? (typeof val === 'string' ? val : tag));
    this.name = 'GeneratorError';
    this.tag = tag;
    this.val = val;
  }

  /** The contract's variant. */
  raw() {
    return this.tag === 'cancelled' ? { tag: this.tag } : { tag: this.tag, val: this.val };
  }
}

/** The configuration is at fault: `new ConfigError('/extensions/0', 'no such extension')`. */
export class ConfigError extends GeneratorError {
  /** @param {string} pointer @param {string} message @param {{code?: string, hint?: string}} [more] */
  constructor(pointer, message, more = {}) {
    super('invalid-config', [diagnostic(pointer, message, more)], `${pointer || '(document)'}: ${message}`);
    this.name = 'ConfigError';
  }

  /** Several findings at once; at least one. @param {any[]} findings */
  static of(findings) {
    const error = new ConfigError(findings[0].pointer, findings[0].message);
    error.val = findings;
    return error;
  }

  get findings() {
    return this.val;
  }
}

/** A finding about the configuration. @param {string} pointer @param {string} message @param {any} [more] */
export function diagnostic(pointer, message, { code = 'invalid-value', hint = null, severity = 'error' } = {}) {
  return { severity, pointer, code, message, hint };
}

const WORDS = {
  'invalid-config': (/** @type {any[]} */ val) => val.map((each) => `${each.pointer}: ${each.message}`).join('; '),
  integrity: (/** @type {any} */ val) => `${val.url} gave ${val.actual}, but ${val.expected} was promised`,
  untrusted: (/** @type {any} */ val) => val.message,
  'quota-exceeded': (/** @type {string} */ val) => `the limit on ${val} was reached`,
  upstream: (/** @type {any} */ val) => val.message,
  cancelled: () => 'cancelled',
};

/** The exception for a variant that the host answered. @param {any} raw */
export function fromContract(raw) {
  const words = WORDS[/** @type {keyof typeof WORDS} */ (raw.tag)];
  if (raw.tag === 'invalid-config') return ConfigError.of(raw.val);
  return new GeneratorError(raw.tag, raw.val, words ? words(raw.val) : raw.val);
}

/** Calls the host; what it throws becomes a GeneratorError. @template T @param {() => T} work @returns {T} */
export function hostCall(work) {
  try {
    return work();
  } catch (error) {
    const raw = /** @type {any} */ (error);
    if (raw instanceof Error && !('payload' in raw)) throw raw;
    throw fromContract(raw.payload ?? raw);
  }
}
