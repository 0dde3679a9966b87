// Write bootsplice generators in JavaScript or TypeScript. See index.d.ts and README.md.
export { Blob, blob } from './blob.js';
export { ConfigError, GeneratorError, diagnostic } from './errors.js';
export { isCancelled, log, progress } from './job.js';
export { linkFault, pathFault, userFault } from './paths.js';
export { pointer } from './pointer.js';
export { Sink, maxOutput } from './sink.js';
export { decode, encode } from './text.js';
export * as fetch from './fetch.js';
export { pin } from './fetch.js';

/** Gives its argument back, typed. @template G @param {G} generator @returns {G} */
export function defineGenerator(generator) {
  return generator;
}
