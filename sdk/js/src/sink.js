// Where content goes. The host writes the archive; a generator says what is in it.
import { Blob, WRITE } from './blob.js';
import { hostCall } from './errors.js';
import { encode } from './text.js';

const MIB = 1 << 20;
const OVERHEAD = 4096;
/** @type {Record<string, string>} */
const FORMATS = {
  sh: 'shell', bash: 'shell', json: 'json', yaml: 'yaml', yml: 'yaml', ini: 'ini', desktop: 'ini', service: 'ini', socket: 'ini',
  timer: 'ini', mount: 'ini', network: 'ini',
};

/** Entries, then actions. See index.d.ts. */
export class Sink {
  /** @param {any} raw */
  constructor(raw) {
    this.raw = raw;
  }

  /** @param {string} path @param {string | Uint8Array | Blob} content @param {any} [options] */
  file(path, content, options) {
    const attrs = attributes(0o644, options);
    hostCall(() => {
      if (content instanceof Blob) return this.raw.putBlob(path, attrs, content.raw);
      const bytes = typeof content === 'string' ? encode(content) : content;
      if (bytes.length <= MIB) return this.raw.putBytes(path, attrs, bytes);
      const writer = this.raw.create(path, attrs);
      for (let at = 0; at < bytes.length; at += WRITE) writer.write(bytes.subarray(at, at + WRITE));
      return writer.finish();
    });
  }

  /** @param {string} path @param {string} text @param {any} [options] */
  template(path, text, options = {}) {
    const format = options.format ?? FORMATS[/\.([^./]*)$/.exec(path)?.[1] ?? ''] ?? 'plain';
    hostCall(() => this.raw.putTemplate(path, attributes(0o644, options), text, format));
  }

  /** @param {string} path @param {any} [options] */
  dir(path, options) {
    hostCall(() => this.raw.putDir(path, attributes(0o755, options)));
  }

  /** @param {string} path @param {string} to */
  symlink(path, to) {
    hostCall(() => this.raw.putSymlink(path, to));
  }

  /** @param {string} prefix @param {Blob} content @param {any} [options] */
  unpack(prefix, content, { format = 'tar', stripComponents = 0, mode = null, owner, onConflict = 'replace' } = {}) {
    return hostCall(() => this.raw.unpack(prefix, content.raw, { format, stripComponents, mode, owner: ownership(owner), onConflict }));
  }

  /** @param {string} file @param {string} format @param {any} changes */
  edit(file, format, { set = {}, append = {}, remove = [], create = false, onChange = [] } = {}) {
    const change = (/** @type {string} */ verb) => (/** @type {[string, any]} */ [path, value]) =>
      ({ verb, path, value: JSON.stringify(value), expected: null });
    const changes = [
      ...Object.entries(set).map(change('set')), ...Object.entries(append).map(change('append')),
      ...remove.map((path) => ({ verb: 'remove', path, value: null, expected: null })),
    ];
    this.act({ tag: 'edit', val: { file, format, changes, create, onChange } });
  }

  /** @param {string} text @param {any} [options] */
  run(text, { interpreter = '/bin/sh', args = [], environment = {}, user = null, workingDirectory = null } = {}) {
    const command = { interpreter, text, arguments: args, environment: Object.entries(environment), user, workingDirectory };
    this.act({ tag: 'run', val: command });
  }

  /** @param {string} unit @param {any} [options] */
  service(unit, { user = null, enable = true, start = true } = {}) {
    this.act({ tag: 'service', val: { unit, user, enable, start } });
  }

  /** @param {any} action */
  act(action) {
    hostCall(() => this.raw.addAction(action));
  }
}

/** Counts what is written instead of writing it. */
class Meter {
  bytes = OVERHEAD;
  /** @param {number} count */
  add(count) {
    this.bytes += OVERHEAD + count;
  }
  /** @param {string} _p @param {any} _a @param {any} content */
  putBlob(_p, _a, content) { this.add(content.size()); }
  /** @param {string} _p @param {any} _a @param {Uint8Array} content */
  putBytes(_p, _a, content) { this.add(content.length); }
  // Filled values are longer than their placeholders.
  /** @param {string} _p @param {any} _a @param {string} text */
  putTemplate(_p, _a, text) { this.add(OVERHEAD + 2 * encode(text).length); }
  putDir() { this.add(0); }
  putSymlink() { this.add(0); }
  create() { this.add(0); return this; }
  /** @param {Uint8Array} data */
  write(data) { this.bytes += data.length; }
  /** @param {any} content */
  append(content) { this.bytes += content.size(); }
  finish() {}
  // A member costs a header beside its bytes.
  /** @param {string} _p @param {any} content */
  unpack(_p, content) { this.add(4 * content.size()); return 0; }
  // JSON escapes may make six characters of one.
  /** @param {any} action */
  addAction(action) { this.add(6 * JSON.stringify(action).length); }
}

/** Upper bound of what `write` gives to a sink, for the lock file. @param {(sink: Sink) => void} write */
export function maxOutput(write) {
  const meter = new Meter();
  write(new Sink(meter));
  return meter.bytes;
}

/** @param {number} usual @param {any} [options] */
function attributes(usual, { mode = usual, owner, onConflict = 'replace' } = {}) {
  return { mode, owner: ownership(owner), onConflict };
}

/** `ada` or `ada:staff`. @param {string | undefined} text */
function ownership(text) {
  if (text === undefined) return null;
  const [user, group] = text.split(':');
  return { user: user || 'root', group: group ?? user };
}
