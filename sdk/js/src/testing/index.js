// A fake host for unit tests on Node: runs a generator through the same calls, checks and errors, without a network.
import { contract } from '#contract';
import { component } from '../component.js';
import { ConfigError, GeneratorError, fromContract } from '../errors.js';
import { select } from '../pointer.js';
import { builderOf, fakeBlob } from './blobs.js';
import { LIMITS, Run, TARGET, answering, refuse } from './run.js';
import { FakeSink } from './sink.js';
import { meet, web, wishes } from './web.js';

export { LIMITS, TARGET };
const PURE = { ...LIMITS, fetches: 0, outputBytes: 0 };

/** See index.d.ts. */
export class Host {
  /** @param {any} [options] */
  constructor({ files = {}, grants, secrets = [], inventory = {}, limits = {}, target = TARGET } = {}) {
    this.files = files;
    this.grants = grants ?? Object.keys(files);
    this.secrets = new Set(secrets);
    this.inventory = inventory;
    this.limits = { ...LIMITS, ...limits };
    this.target = target;
    /** @type {{level: string, message: string, fields: Record<string, string>}[]} */
    this.log = [];
    /** @type {string[]} */
    this.fetched = [];
    /** @type {Map<string, Uint8Array>} */
    this.cached = new Map();
  }

  /** @param {any} author */
  describe(author) {
    return this.#call(new Run('pure', PURE), new Set(), () => component(author).pluginInfo.describe());
  }

  /** @param {any} author @param {any} config @param {any} [target] @returns {any[]} */
  validate(author, config, target) {
    const run = new Run('pure', PURE);
    return this.#call(run, new Set(), () => component(author).pluginInfo.validate(target ?? null, JSON.stringify(config)));
  }

  /** @param {any} author @param {any} config @param {any} [previous] */
  resolve(author, config, previous) {
    const { run, granted } = this.#prepared('resolve', author, config);
    const lock = this.#call(run, granted, () => {
      const held = previous ? this.#locked(run, previous) : null;
      const made = component(author).generator.resolve(this.target, JSON.stringify(config), held);
      return { ...made, state: made.state?.data };
    });
    if (run.broken) throw run.broken;
    return lock;
  }

  /** @param {any} author @param {any} config @param {any} lock @param {any} [instance] */
  generate(author, config, lock, instance = { id: 'i-1', profile: 'test', attributes: {} }) {
    const { run, granted } = this.#prepared('generate', author, config);
    run.pins = new Map(lock.pins.map((/** @type {any} */ pin) => [pin.digest, pin]));
    run.secrets = new Set([...granted, ...[...JSON.stringify(config).matchAll(/\{\{secret:([A-Za-z0-9._-]{1,128})\}\}/g)].map((hole) => hole[1])]);
    const sink = new FakeSink(run);
    const who = lock.needsInstance ? { ...instance, attributes: Object.entries(instance.attributes) } : null;
    const summary = this.#call(run, granted, () =>
      component(author).generator.generate(this.target, JSON.stringify(config), this.#locked(run, lock), who, sink.raw));
    const step = sink.finish(summary);
    const pinned = lock.pins.reduce((/** @type {number} */ sum, /** @type {any} */ pin) => sum + pin.size, 0);
    const written = run.used.outputBytes ?? 0;
    if (written > lock.maxOutput + pinned) {
      refuse('fault', `${written} bytes were written; the lock file said ${lock.maxOutput} besides the pins`);
    }
    return step;
  }

  /** All calls, in the host's order. @param {any} author @param {any} config @param {any} [instance] */
  launch(author, config, instance) {
    const errors = this.validate(author, config, this.target).filter((finding) => finding.severity === 'error');
    if (errors.length) throw ConfigError.of(errors);
    return this.generate(author, config, this.resolve(author, config), instance);
  }

  /** @param {'resolve' | 'generate'} phase @param {any} author @param {any} config */
  #prepared(phase, author, config) {
    const { capabilities } = this.describe(author);
    const run = new Run(phase, this.limits);
    const wanted = wishes(capabilities.fetch, config);
    run.grants = this.grants.flatMap((/** @type {string} */ grant) => wanted.map((wish) => meet(grant, wish)).filter((met) => met !== undefined));
    const names = capabilities.secrets.flatMap((/** @type {string} */ at) => select(config, at));
    return { run, granted: new Set(names.filter((/** @type {unknown} */ name) => typeof name === 'string')) };
  }

  /** @param {Run} run @param {any} lock */
  #locked(run, lock) {
    return { pins: lock.pins, state: lock.state ? fakeBlob(run, lock.state) : null };
  }

  /** Puts the fake in the contract's place for one call. @template T @param {Run} run @param {Set<any>} granted @param {() => T} work @returns {T} */
  #call(run, granted, work) {
    const before = { ...contract };
    const noTrust = () => refuse('unsupported', 'the fake host verifies no signatures: test that against a real one');
    Object.assign(contract, {
      fetch: answering(web(run, this, granted, this.fetched)), blobs: { BlobBuilder: builderOf(run) }, inventory: this.#inventory(run),
      cache: answering(this.#cache(run)), job: this.#job(run), trust: answering({ verify: noTrust, seen: noTrust }),
    });
    try {
      return work();
    } catch (error) {
      const raw = /** @type {any} */ (error);
      throw raw instanceof Error || !raw?.tag ? raw : fromContract(raw);
    } finally {
      Object.assign(contract, before);
    }
  }

  /** @param {Run} run */
  #job(run) {
    const log = (/** @type {string} */ level, /** @type {string} */ message, /** @type {[string, string][]} */ fields) => {
      const cost = Buffer.byteLength(message) + fields.flat().join('').length;
      if ((run.used.logBytes ?? 0) + cost > run.limits.logBytes || this.log.length >= 20_000) return;
      run.take('log-bytes', 'logBytes', cost);
      this.log.push({ level, message, fields: Object.fromEntries(fields) });
    };
    return { log, progress() {}, isCancelled: () => false };
  }

  /** @param {Run} run */
  #inventory(run) {
    const known = run.phase === 'resolve' ? this.inventory : {};
    return {
      readFile: (/** @type {string} */ name) => (Object.hasOwn(known, name) ? fakeBlob(run, Buffer.from(known[name])) : null),
      listFiles: () => Object.keys(known).sort(),
    };
  }

  /** @param {Run} run */
  #cache(run) {
    return {
      get: (/** @type {string} */ key) => {
        const held = run.phase === 'resolve' ? this.cached.get(key) : undefined;
        return held ? fakeBlob(run, held) : null;
      },
      put: (/** @type {string} */ key, /** @type {any} */ value) => {
        run.onlyIn('the cache', 'resolve');
        run.take('cache-bytes', 'cacheBytes', value.size());
        this.cached.set(key, value.data);
      },
    };
  }
}

export { GeneratorError };
