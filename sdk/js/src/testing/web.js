// The network as a table of URLs, behind grants and pins as on a real host.
import { GeneratorError } from '../errors.js';
import { select } from '../pointer.js';
import { digest, fakeBlob } from './blobs.js';
import { refuse } from './run.js';

const MAX_BATCH = 1024;
/** @type {Record<string, string>} */
const PORTS = { 'https:': '443', 'http:': '80' };

/** The functions of `fetch`. @param {import('./run.js').Run} run @param {any} host @param {Set<string>} granted @param {string[]} asked */
export function web(run, host, granted, asked) {
  const one = (/** @type {string} */ url, /** @type {any} */ request, /** @type {number} */ limit) => {
    checkUrl(url);
    if (!run.grants.some((prefix) => covers(prefix, url))) refuse('denied', `${url}: no grant of this step covers it`);
    const { credential } = request;
    if (credential !== null) {
      if (!granted.has(credential)) refuse('denied', `secret \`${credential}\` is not granted to this step`);
      if (!host.secrets.has(credential)) refuse('not-found', `secret \`${credential}\``);
    }
    asked.push(url);
    const found = host.files[url];
    if (found === undefined) refuse('not-found', `${url} answered 404`);
    if (found instanceof GeneratorError) throw found;
    const bytes = typeof found === 'string' ? Buffer.from(found) : found;
    if (bytes.length > limit) run.exceeded('fetch-bytes');
    run.take('fetch-bytes', 'fetchBytes', bytes.length);
    const actual = digest(bytes);
    if (request.digest !== null && actual !== request.digest) refuse('integrity', { expected: request.digest, actual, url });
    return { content: fakeBlob(run, bytes), finalUrl: url, etag: null, fromCache: false };
  };
  const get = (/** @type {any} */ request) => {
    run.onlyIn('fetch', 'resolve', 'generate');
    if (request.digest !== null && !/^sha256:[0-9a-f]{64}$/.test(request.digest)) {
      refuse('unsupported', `\`${request.digest}\` is no digest: write sha256: and 64 lower-case hex digits`);
    }
    let { urls, maxSize } = request;
    if (run.phase === 'generate') {
      if (request.digest === null) refuse('denied', 'in generate a fetch names the digest of a pin');
      const pin = run.pins.get(request.digest) ?? refuse('denied', `${request.digest} is not in the lock`);
      ({ urls, size: maxSize } = pin);
    }
    run.take('fetch-count', 'fetches');
    if (urls.length < 1 || urls.length > 16) refuse('unsupported', 'a fetch names 1 to 16 URLs');
    let first;
    for (const url of urls) {
      try {
        return one(url, request, maxSize);
      } catch (error) {
        if (!(error instanceof GeneratorError) || error.tag === 'quota-exceeded') throw error;
        first ??= error;
      }
    }
    throw first;
  };
  const getAll = (/** @type {any[]} */ requests) => requests.map((request, index) => {
    try {
      if (index >= MAX_BATCH) refuse('unsupported', `at most ${MAX_BATCH} requests in one call`);
      return { tag: 'ok', val: get(request) };
    } catch (error) {
      if (!(error instanceof GeneratorError)) throw error;
      return { tag: 'err', val: error.raw() };
    }
  });
  return { get, getAll };
}

/** A descriptor's wishes with `${config:POINTER}` filled in. @param {string[]} patterns @param {any} config @returns {string[]} */
export function wishes(patterns, config) {
  return patterns.flatMap((pattern) => {
    const at = /^\$\{config:(.*)\}$/.exec(pattern)?.[1];
    return at === undefined ? [pattern] : select(config, at).filter((value) => typeof value === 'string');
  });
}

/** What of a grant a wish asks for. @param {string} grant @param {string} wish */
export function meet(grant, wish) {
  if (wish.endsWith('://*/')) return grant.startsWith(wish.slice(0, -2)) ? grant : undefined;
  try {
    checkUrl(wish);
  } catch {
    return undefined;
  }
  return covers(grant, wish) ? wish : covers(wish, grant) ? grant : undefined;
}

/** Whole path segments of the same origin. @param {string} prefix @param {string} url */
function covers(prefix, url) {
  const [one, two] = [new URL(prefix), new URL(url)];
  const port = (/** @type {URL} */ of) => of.port || PORTS[of.protocol];
  const path = one.pathname.replace(/\/+$/, '');
  const rest = two.pathname.startsWith(path) ? two.pathname.slice(path.length) : undefined;
  return one.protocol === two.protocol && one.hostname === two.hostname && port(one) === port(two) && rest !== undefined && /^(\/|$)/.test(rest);
}

/** @param {string} url */
function checkUrl(url) {
  const wrong = (/** @type {string} */ reason) => refuse('denied', `\`${url.slice(0, 200)}\` cannot be fetched: ${reason}`);
  if (url.length > 4096) wrong('longer than 4096 bytes');
  if (!URL.canParse(url)) wrong('it is no URL');
  const parts = new URL(url);
  if (!['https:', 'http:', 'file:', 's3:', 'gs:', 'az:'].includes(parts.protocol)) wrong('use https:, file:, s3:, gs: or az:');
  if (parts.protocol === 'file:' && parts.host) wrong('a file: URL names no host');
  if (parts.protocol !== 'file:' && !parts.hostname) wrong('it names no host');
  if (parts.username || parts.password) wrong('credentials do not belong in a URL; name a secret');
  if (/%2f|%5c|%00/i.test(parts.pathname)) wrong('an encoded `/`, `\\` or NUL in the path');
}
