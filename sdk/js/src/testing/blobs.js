// Blobs in the test's own memory.
import { createHash } from 'node:crypto';
import zlib from 'node:zlib';

import { answering, refuse } from './run.js';

const MAX_READ = 1 << 20;
const MAX_WRITE = 256 << 10;
const MAX_SPANS = 65_536;

/** @param {import('./run.js').Run} run @param {Uint8Array} data */
export function fakeBlob(run, data) {
  run.take('handles', 'handles');
  return answering({
    data,
    size: () => data.length,
    digest: () => digest(data),
    read: (/** @type {number} */ offset, /** @type {number} */ length) => data.subarray(offset, offset + Math.min(length, MAX_READ)),
    readMany(/** @type {{offset: number, len: number}[]} */ spans) {
      const total = spans.reduce((sum, span) => sum + span.len, 0);
      if (total > MAX_READ || spans.length > MAX_SPANS) {
        refuse('unsupported', `read-many of ${total} bytes in ${spans.length} spans; ${MAX_READ} bytes in ${MAX_SPANS} spans are allowed`);
      }
      return spans.map((span) => data.subarray(span.offset, span.offset + span.len));
    },
    decompress(/** @type {string} */ codec, /** @type {number} */ maxSize) {
      run.onlyIn('decompress', 'resolve', 'generate');
      const plain = decompress(codec, data);
      if (plain.length > maxSize) refuse('unsupported', `it is larger than ${maxSize} bytes without its compression`);
      if (plain.length > Math.max(200 * data.length, 16 << 20)) {
        refuse('unsupported', 'it grows more than 200 times when decompressed, past 16777216 bytes');
      }
      run.take('output-bytes', 'scratchBytes', plain.length);
      return fakeBlob(run, plain);
    },
    slice(/** @type {number} */ offset, /** @type {number} */ length) {
      if (offset + length > data.length) refuse('unsupported', `${length} bytes from ${offset} are not inside a blob of ${data.length} bytes`);
      return fakeBlob(run, data.subarray(offset, offset + length));
    },
  });
}

/** The class `BlobBuilder` of a run. @param {import('./run.js').Run} run */
export function builderOf(run) {
  return function BlobBuilder() {
    /** @type {Uint8Array[] | undefined} */
    let pieces = [];
    const add = (/** @type {Uint8Array} */ data) => {
      run.onlyIn('blob-builder', 'resolve', 'generate');
      if (!pieces) return refuse('unsupported', 'the builder is finished already');
      run.take('output-bytes', 'scratchBytes', data.length);
      return pieces.push(Uint8Array.from(data));
    };
    return answering({
      write: (/** @type {Uint8Array} */ data) => void (checkWrite(data), add(data)),
      append: (/** @type {any} */ content) => void add(content.data),
      finish() {
        if (!pieces) return refuse('unsupported', 'the builder is finished already');
        const whole = Buffer.concat(pieces);
        pieces = undefined;
        return fakeBlob(run, whole);
      },
    });
  };
}

/** @param {Uint8Array} data */
export function checkWrite(data) {
  if (data.length > MAX_WRITE) refuse('unsupported', `a write of ${data.length} bytes; ${MAX_WRITE} are allowed in one call`);
}

/** @param {Uint8Array} data */
export function digest(data) {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

/** @param {string} codec @param {Uint8Array} data */
function decompress(codec, data) {
  if (codec !== 'gzip') refuse('unsupported', `${codec}: Node has no decoder of it; test that against a real host`);
  try {
    return zlib.gunzipSync(data);
  } catch (error) {
    return refuse('unsupported', `it is not valid Gzip: ${/** @type {Error} */ (error).message}`);
  }
}
