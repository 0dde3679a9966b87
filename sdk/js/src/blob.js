// Bytes that live in the host. A generator moves handles, and reads what it must.
import { contract } from '#contract';
import { GeneratorError, hostCall } from './errors.js';
import { decode, encode } from './text.js';

const MIB = 1 << 20;
/** Most bytes that the host takes in one write. */
export const WRITE = 256 << 10;

/** Immutable bytes in the host. */
export class Blob {
  /** @param {any} raw */
  constructor(raw) {
    this.raw = raw;
  }

  get size() {
    return this.raw.size();
  }

  get digest() {
    return this.raw.digest();
  }

  /** At most 1 MiB; short only at the end. @param {number} offset @param {number} length */
  read(offset, length) {
    return Uint8Array.from(hostCall(() => this.raw.read(offset, length)));
  }

  /** The whole blob in the guest's memory; `unsupported` past `limit` bytes. */
  bytes(limit = 16 * MIB) {
    const size = this.size;
    if (size > limit) throw new GeneratorError('unsupported', `${size} bytes where at most ${limit} are read at once`);
    const all = new Uint8Array(size);
    for (let at = 0; at < size; ) {
      const piece = this.read(at, MIB);
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  }

  text(limit = 16 * MIB) {
    return decode(this.bytes(limit));
  }

  json(limit = 16 * MIB) {
    return JSON.parse(this.text(limit));
  }

  /** @param {string} codec @param {number} maxSize */
  decompress(codec, maxSize) {
    return new Blob(hostCall(() => this.raw.decompress(codec, maxSize)));
  }

  /** A range as a blob of its own. @param {number} offset @param {number} length */
  slice(offset, length) {
    return new Blob(hostCall(() => this.raw.slice(offset, length)));
  }
}

/** A blob of any size. @param {string | Uint8Array} data */
export function blob(data) {
  const bytes = typeof data === 'string' ? encode(data) : data;
  return hostCall(() => {
    const builder = new contract.blobs.BlobBuilder();
    for (let at = 0; at < bytes.length; at += WRITE) builder.write(bytes.subarray(at, at + WRITE));
    return new Blob(builder.finish());
  });
}
