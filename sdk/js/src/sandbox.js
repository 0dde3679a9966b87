// What of the web and Node does not exist in a component, as exceptions that say what to call instead.
import { contract } from '#contract';
import { GeneratorError } from './errors.js';

const CLOCK = 'there is no clock in the sandbox: `target.sourceDateEpoch` is the job’s time, in seconds';
const RANDOM = 'there is no randomness in the sandbox: the same inputs give the same bytes; derive from `instance.id`';
const TIMERS = 'there are no timers and no event loop in the sandbox: the four functions are synchronous';
const FETCH = 'there are no sockets in the sandbox: use `fetch.get` and `fetch.getAll` of bootsplice-sdk';

/** Makes the global object a sandbox's. Called once, when the component is built. */
export function close() {
  const place = /** @type {any} */ (globalThis);
  const refuse = (/** @type {string} */ name, /** @type {string} */ reason) => () => {
    throw new GeneratorError('unsupported', `${name}: ${reason}`);
  };
  Date.now = refuse('Date.now', CLOCK);
  place.Date = new Proxy(Date, {
    construct: (real, args) => (args.length ? Reflect.construct(real, args) : refuse('new Date()', CLOCK)()),
    apply: refuse('Date()', CLOCK),
  });
  Math.random = refuse('Math.random', RANDOM);
  for (const name of ['setTimeout', 'setInterval', 'setImmediate']) place[name] = refuse(name, TIMERS);
  for (const name of ['fetch', 'XMLHttpRequest', 'WebSocket']) place[name] = refuse(name, FETCH);
  place.performance = { now: refuse('performance.now', CLOCK) };
  const say = (/** @type {string} */ level) => (/** @type {any[]} */ ...words) =>
    contract.job.log(level, words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word) ?? String(word))).join(' '), []);
  place.console = { log: say('info'), info: say('info'), debug: say('debug'), warn: say('warn'), error: say('error'), trace: say('trace') };
}
