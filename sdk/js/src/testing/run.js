// What one run may use, as on a real host, and what it has used up.
import { GeneratorError } from '../errors.js';

export const LIMITS = {
  outputBytes: 4 * 2 ** 30, outputEntries: 100_000, logBytes: 1 << 20, fetches: 8192, fetchBytes: 4 * 2 ** 30, handles: 4096,
  /** Bytes of blobs that the generator makes in all. */
  scratchBytes: 8 * 2 ** 30, cacheBytes: 2 ** 30,
};

export const TARGET = {
  os: 'linux', distro: 'debian', release: 'bookworm', arch: 'amd64', insertionPoint: 'base', sourceDateEpoch: 1_700_000_000,
  features: ['edit-v1', 'user-units'],
};

/** @param {string} tag @param {any} val @returns {never} */
export function refuse(tag, val) {
  throw new GeneratorError(tag, val);
}

/** One call of a generator. */
export class Run {
  /** @param {'pure' | 'resolve' | 'generate'} phase @param {typeof LIMITS} limits */
  constructor(phase, limits) {
    this.phase = phase;
    this.limits = limits;
    /** @type {string[]} */
    this.grants = [];
    /** Names of secrets that stand in the step's configuration. @type {Set<string>} */
    this.secrets = new Set();
    /** In `generate`: what the lock file pins, by digest. @type {Map<string, any>} */
    this.pins = new Map();
    /** @type {Record<string, number>} */
    this.used = {};
    /** The first limit that was reached. @type {GeneratorError | undefined} */
    this.broken = undefined;
  }

  /** @param {string} what @param {string[]} phases */
  onlyIn(what, ...phases) {
    const name = this.phase[0].toUpperCase() + this.phase.slice(1);
    if (!phases.includes(this.phase)) refuse('denied', `${what} cannot be used in this phase (${name})`);
  }

  /** Counts against a limit; past it the run has failed. @param {string} quota @param {keyof typeof LIMITS} kind @param {number} [amount] */
  take(quota, kind, amount = 1) {
    const total = (this.used[kind] ?? 0) + amount;
    if (total > this.limits[kind]) this.exceeded(quota);
    this.used[kind] = total;
  }

  /** @param {string} quota @returns {never} */
  exceeded(quota) {
    const error = new GeneratorError('quota-exceeded', quota, `the limit on ${quota} was reached`);
    this.broken ??= error;
    throw error;
  }
}

/** An object whose functions answer errors as the contract does: thrown variants. @template {object} T @param {T} object @returns {T} */
export function answering(object) {
  return new Proxy(object, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (/** @type {any[]} */ ...args) => {
        try {
          return value.apply(target, args);
        } catch (error) {
          throw error instanceof GeneratorError ? error.raw() : error;
        }
      };
    },
  });
}
