// Everything that leaves the sandbox: GET by the host, within the step's grants. In `generate` only what the lock file pins.
import { contract } from '#contract';
import { Blob } from './blob.js';
import { GeneratorError, fromContract, hostCall } from './errors.js';

const MAX_SIZE = 2 ** 32;

/** @param {any} request */
export function get(request) {
  return response(hostCall(() => contract.fetch.get(raw(request))));
}

/** In parallel; answers in the order asked. Throws the first failure. @param {any[]} requests */
export function getAll(requests) {
  const answers = hostCall(() => contract.fetch.getAll(requests.map(raw)));
  return answers.map((/** @type {any} */ answer) => {
    if (answer.tag === 'err') throw fromContract(answer.val);
    return response(answer.val);
  });
}

/** Fetches a source in `resolve`: its pin for the lock file, and its bytes. @param {string} name @param {any} source */
export function pin(name, source) {
  const { content } = get(source);
  const attributes = source.credential ? { credential: source.credential } : {};
  return { pin: { name, urls: [source.url], digest: content.digest, size: content.size, version: '', attributes }, content };
}

/** The bytes of the pin called `name`. @param {any[]} pins @param {string} name */
export function openPin(pins, name) {
  const found = pins.find((each) => each.name === name);
  if (!found) {
    throw new GeneratorError('not-found', `the lock file has no pin \`${name}\`: it was made for another configuration; resolve again`);
  }
  const { urls, digest, size, attributes } = found;
  return get({ urls, sha256: digest, size, maxSize: size, credential: attributes.credential }).content;
}

/** @param {any} request */
function raw(request) {
  const wanted = typeof request === 'string' ? { url: request } : request;
  const digest = wanted.sha256 && !wanted.sha256.includes(':') ? `sha256:${wanted.sha256}` : wanted.sha256;
  return {
    urls: wanted.urls ?? [wanted.url], digest: digest ?? null, size: wanted.size ?? null, maxSize: wanted.maxSize ?? MAX_SIZE,
    credential: wanted.credential ?? null, maxAge: wanted.maxAge ?? null,
  };
}

/** @param {any} answer */
function response(answer) {
  return { content: new Blob(answer.content), finalUrl: answer.finalUrl, etag: answer.etag, fromCache: answer.fromCache };
}
