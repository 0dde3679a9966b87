// The component around a generator: configurations in, exceptions out as the contract's errors.
import { contract } from '#contract';
import { Blob } from './blob.js';
import { ConfigError, GeneratorError, diagnostic } from './errors.js';
import { openPin } from './fetch.js';
import { Sink } from './sink.js';
import { describeFault } from './stack.js';

/** The exports `pluginInfo` and `generator`. @param {any} author */
export function component(author) {
  const pluginInfo = {
    describe: () => reported(() => descriptor(author.describe())),
    validate(/** @type {any} */ target, /** @type {string} */ text) {
      try {
        return findings(author, target ?? undefined, JSON.parse(text));
      } catch (error) {
        if (error instanceof ConfigError) return error.findings;
        return [diagnostic('', tell(error), { code: 'generator-fault' })];
      }
    },
  };
  const generator = {
    resolve: (/** @type {any} */ target, /** @type {string} */ text, /** @type {any} */ previous) => answered(() => {
      const config = accept(author, target, text);
      const lock = author.resolve(target, config, previous ? locked(previous) : undefined);
      return {
        pins: (lock.pins ?? []).map(rawPin), state: lock.state?.raw ?? null, freshForS: lock.freshForS ?? null,
        needsInstance: lock.needsInstance ?? false, maxOutput: lock.maxOutput,
      };
    }),
    generate: (/** @type {any} */ target, /** @type {string} */ text, /** @type {any} */ pinned, /** @type {any} */ who, /** @type {any} */ dest) => answered(() => {
      const config = accept(author, target, text);
      const instance = who ? { ...who, attributes: Object.fromEntries(who.attributes) } : undefined;
      const summary = author.generate(target, config, locked(pinned), instance, new Sink(dest)) ?? {};
      return { notes: summary.notes ?? [], rebootRequired: summary.rebootRequired ?? false };
    }),
  };
  return { pluginInfo, generator };
}

/** @param {any} made */
function descriptor(made) {
  const text = (/** @type {any} */ value) => (typeof value === 'string' ? value : JSON.stringify(value));
  return {
    id: made.id, version: made.version, title: made.title, summary: made.summary, osFamilies: made.osFamilies ?? ['linux'],
    stage: made.stage ?? 'files', capabilities: { fetch: made.fetch ?? [], secrets: made.secrets ?? [] }, configSchema: text(made.schema),
    examples: Object.entries(made.examples ?? {}).map(([title, config]) => ({ title, config: text(config) })),
    joinsSteps: made.joinsSteps ?? false,
  };
}

/** `resolve` and `generate` may run on a configuration that was never validated. @param {any} author @param {any} target @param {string} text */
function accept(author, target, text) {
  const config = JSON.parse(text);
  const errors = findings(author, target, config).filter((finding) => finding.severity === 'error');
  if (errors.length) throw ConfigError.of(errors);
  return config;
}

/** @param {any} author @param {any} target @param {any} config @returns {any[]} */
function findings(author, target, config) {
  return author.validate ? [...author.validate(target, config)] : [];
}

/** @param {any} raw */
function locked(raw) {
  const pins = raw.pins.map((/** @type {any} */ pin) => ({ ...pin, attributes: Object.fromEntries(pin.attributes) }));
  return { pins, state: raw.state ? new Blob(raw.state) : undefined, open: (/** @type {string} */ name) => openPin(pins, name) };
}

/** @param {any} pin */
function rawPin(pin) {
  return { ...pin, version: pin.version ?? '', attributes: Object.entries(pin.attributes ?? {}) };
}

/** @template T @param {() => T} work */
function answered(work) {
  try {
    return work();
  } catch (error) {
    throw error instanceof GeneratorError ? error.raw() : { tag: 'fault', val: tell(error) };
  }
}

/** `describe` has no error to answer: what the log says is all that people get besides the trap. @template T @param {() => T} work */
function reported(work) {
  try {
    return work();
  } catch (error) {
    tell(error);
    throw error;
  }
}

/** The fault in one line; the whole stack goes to the log. @param {unknown} error */
function tell(error) {
  const { message, stack } = describeFault(error);
  for (const line of stack) contract.job.log('error', line, []);
  return message;
}
