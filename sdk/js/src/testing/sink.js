// The archive in the test's own memory: every entry and action through the host's checks.
import { linkFault, pathFault, userFault } from '../paths.js';
import { encode } from '../text.js';
import { actionFault, placeholderTexts } from './actions.js';
import { checkWrite } from './blobs.js';
import { GeneratorError } from '../errors.js';
import { answering, refuse } from './run.js';

const MAX_INLINE = 1 << 20;
const MAX_ACTIONS = 1000;
const ENTRY_COST = 512;
const KNOWN = /^(instance:(id|profile|attributes\.[A-Za-z0-9._-]{1,128})|secret:[A-Za-z0-9._-]{1,128})$/;

/** What one run of `generate` made. */
export class FakeSink {
  /** @param {import('./run.js').Run} run */
  constructor(run) {
    this.run = run;
    /** @type {Record<string, any>} */
    this.entries = {};
    /** @type {any[]} */
    this.actions = [];
    /** By the path's composed form; undefined: set aside for a writer. @type {Map<string, any>} */
    this.keys = new Map();
    this.raw = answering(this);
  }

  /** @param {string} path @param {any} attrs @param {any} content */
  putBlob(path, attrs, content) {
    this.#file(path, attrs, content.data);
  }

  /** @param {string} path @param {any} attrs @param {Uint8Array} content */
  putBytes(path, attrs, content) {
    checkInline('put-bytes', content.length);
    this.#file(path, attrs, content);
  }

  /** @param {string} path @param {any} attrs @param {string} text @param {string} format */
  putTemplate(path, attrs, text, format) {
    const bytes = encode(text);
    checkInline('put-template', bytes.length);
    this.#charge(bytes.length);
    if (this.#checkText(text, `template ${path}: `)) this.#add(path, attrs, { kind: 'template', content: text, format });
    else this.#add(path, attrs, { kind: 'file', content: bytes });
  }

  /** @param {string} path @param {any} attrs */
  putDir(path, attrs) {
    const held = this.entries[path];
    if (held?.kind === 'dir' && held.mode === attrs.mode && held.owner === attrs.owner && held.onConflict === attrs.onConflict) return;
    this.#add(path, attrs, { kind: 'dir' });
  }

  /** @param {string} path @param {string} to */
  putSymlink(path, to) {
    const fault = pathFault(path);
    if (fault) refuse('denied', `path \`${path}\`: ${fault}`);
    const lead = linkFault(path, to);
    if (lead) refuse('denied', `path \`${path} -> ${to}\`: ${lead}`);
    this.#charge(encode(to).length);
    this.#add(path, { mode: 0o777, owner: null, onConflict: 'fail' }, { kind: 'symlink', content: to });
  }

  /** @param {string} path @param {any} attrs */
  create(path, attrs) {
    const key = this.#place(path, attrs, false);
    this.keys.set(key, undefined);
    /** @type {Uint8Array[] | undefined} */
    let pieces = [];
    const add = (/** @type {Uint8Array} */ data) => {
      this.#charge(data.length);
      (pieces ?? refuse('unsupported', 'the writer is finished already')).push(Uint8Array.from(data));
    };
    return answering({
      write: (/** @type {Uint8Array} */ data) => (checkWrite(data), add(data)),
      append: (/** @type {any} */ content) => add(content.data),
      finish: () => {
        const content = Buffer.concat(pieces ?? refuse('unsupported', 'the writer is finished already'));
        pieces = undefined;
        this.#keep(key, path, attrs, { kind: 'file', content });
      },
    });
  }

  unpack() {
    refuse('unsupported', 'the fake host unpacks no archives: test that against a real one');
  }

  /** @param {any} action */
  addAction(action) {
    this.run.onlyIn('archive', 'generate');
    const fault = actionFault(action);
    if (fault) refuse('unsupported', fault);
    if (this.actions.length >= MAX_ACTIONS) this.run.exceeded('output-entries');
    for (const text of placeholderTexts(action)) this.#checkText(text, '');
    this.#charge(JSON.stringify(action).length);
    this.actions.push(action);
  }

  /** The step, when no limit was reached and every writer was finished. @param {any} summary */
  finish(summary) {
    if (this.run.broken) throw this.run.broken;
    for (const [key, entry] of this.keys) {
      if (!entry) throw new GeneratorError('fault', `the writer of ${key} was never finished`);
    }
    const entries = Object.fromEntries(Object.entries(this.entries).sort(([a], [b]) => (a < b ? -1 : 1)));
    return { entries, actions: this.actions, notes: summary.notes, rebootRequired: summary.rebootRequired };
  }

  /** @param {string} path @param {any} attrs @param {Uint8Array} content */
  #file(path, attrs, content) {
    this.#charge(content.length);
    this.#add(path, attrs, { kind: 'file', content });
  }

  /** @param {string} path @param {any} attrs @param {any} what */
  #add(path, attrs, what) {
    this.#keep(this.#place(path, attrs, what.kind === 'dir'), path, attrs, what);
  }

  /** @param {string} key @param {string} path @param {any} attrs @param {any} what */
  #keep(key, path, attrs, what) {
    const text = () => (typeof what.content === 'string' ? what.content : Buffer.from(what.content ?? []).toString());
    const entry = { ...what, ...attrs, get text() { return text(); } };
    this.keys.set(key, entry);
    this.entries[path] = entry;
  }

  /** @param {string} path @param {any} attrs @param {boolean} isDir */
  #place(path, attrs, isDir) {
    this.run.onlyIn('archive', 'generate');
    const fault = pathFault(path);
    if (fault) refuse('denied', `path \`${path.slice(0, 200)}\`: ${fault}`);
    if (attrs.mode > 0o777) refuse('denied', `${path}: mode ${attrs.mode.toString(8)} has bits beyond 0777 (setuid, setgid, sticky)`);
    for (const name of attrs.owner ? [attrs.owner.user, attrs.owner.group] : []) {
      if (userFault(name)) refuse('denied', `${path}: \`${name}\` is no user's or group's name`);
    }
    const key = path.normalize('NFC');
    if (this.keys.has(key)) refuse('denied', `${path}: the step already has an entry of this name`);
    for (let end = key.lastIndexOf('/'); end > 0; end = key.lastIndexOf('/', end - 1)) {
      const above = key.slice(0, end);
      if (this.keys.has(above) && this.keys.get(above)?.kind !== 'dir') refuse('denied', `${path}: it lies below an entry that is no directory`);
    }
    if (!isDir && [...this.keys.keys()].some((other) => other.startsWith(`${key}/`))) {
      refuse('denied', `${path}: the step has entries below it, so it must be a directory`);
    }
    this.run.take('output-entries', 'outputEntries');
    this.#charge(ENTRY_COST + encode(path).length);
    return key;
  }

  /** @param {number} count */
  #charge(count) {
    this.run.onlyIn('archive', 'generate');
    this.run.take('output-bytes', 'outputBytes', count);
  }

  /** True when the text has placeholders; refuses a misspelt one, and a secret that is not named. @param {string} text @param {string} what */
  #checkText(text, what) {
    let found = false;
    for (const start of text.matchAll(/\{\{(?=instance:|secret:)/g)) {
      const rest = text.slice(start.index);
      const inside = /^\{\{([^]*?)\}\}/.exec(rest)?.[1] ?? '';
      if (!KNOWN.test(inside)) {
        refuse('unsupported', `${what}\`${rest.slice(0, 60)}\` is not a placeholder: use {{instance:id}}, {{instance:profile}}, {{instance:attributes.NAME}} or {{secret:NAME}}`);
      }
      const secret = /^secret:(.*)$/.exec(inside)?.[1];
      if (secret && !this.run.secrets.has(secret)) {
        refuse('denied', `secret \`${secret}\` is not named in the step's configuration where its generator says that secrets stand`);
      }
      found = true;
    }
    return found;
  }
}

/** @param {string} call @param {number} length */
function checkInline(call, length) {
  if (length > MAX_INLINE) refuse('unsupported', `${call} of ${length} bytes; ${MAX_INLINE} are allowed, use create or a blob for more`);
}
