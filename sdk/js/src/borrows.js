// A repair of what componentize-qjs makes: it gives the borrowed sink of `generate` back after the call, where the component model allows no
// call of the host, so that every `generate` would end as a trap. Here a function around `generate` gives it back in time, and what would do
// it again (and free memory, which a component that lives for one call need not) does nothing.

const COMPONENT = 4;
const CORE = { module: 1 };
const SECTION = { import: 2, function: 3, export: 7, code: 10 };
const HEADER = 8;
const INTERFACE = 'bootsplice:generator/generator@0.1.0#generate';
/** Where the handle of the sink lies among the arguments of `generate`, which are in memory: by the canonical ABI's layout of target, config, pinned and who. */
const SINK_AT = 108;

/** @typedef {{id: number, body: Uint8Array}} Section */

/** The component, repaired. Throws when it is not of the form that is known. @param {Uint8Array} component */
export function repair(component) {
  const state = { done: 0 };
  const made = ofComponent(component, state);
  if (state.done !== 1) throw new Error(`${state.done} functions \`generate\` where one was expected: componentize-qjs changed its output`);
  return made;
}

/** @param {Uint8Array} bytes @param {{done: number}} state @returns {Uint8Array} */
function ofComponent(bytes, state) {
  return joined(bytes, sections(bytes).map(({ id, body }) => {
    if (id === CORE.module) return { id, body: ofModule(body, state) };
    return { id, body: id === COMPONENT ? ofComponent(body, state) : body };
  }));
}

/** @param {Uint8Array} bytes @param {{done: number}} state */
function ofModule(bytes, state) {
  const all = sections(bytes);
  const find = (/** @type {number} */ id) => all.find((section) => section.id === id)?.body;
  const [imports, functions, exports, code] = [SECTION.import, SECTION.function, SECTION.export, SECTION.code].map(find);
  if (!imports || !functions || !exports || !code) return bytes;
  const imported = importedFunctions(imports);
  const drop = imported.indexOf('[resource-drop]sink');
  const named = exportedFunctions(exports);
  const work = named.get(INTERFACE);
  const after = named.get(`cabi_post_${INTERFACE}`);
  if (drop < 0 || work === undefined || after === undefined || work.index < imported.length) return bytes;
  state.done++;
  const types = numbers(functions);
  const bodies = codes(code);
  const wrapper = imported.length + bodies.length;
  types.push(types[work.index - imported.length]);
  bodies[after.index - imported.length] = Uint8Array.from([0, 0x0b]);
  // (local i32): the handle is read first, since the callee owns its arguments.
  bodies.push(Uint8Array.from([
    1, 1, 0x7f, 0x20, 0, 0x28, 2, ...leb(SINK_AT), 0x21, 1, 0x20, 0, 0x10, ...leb(work.index), 0x20, 1, 0x10, ...leb(drop), 0x0b,
  ]));
  const renamed = [...exports.subarray(0, work.at), ...leb(wrapper), ...exports.subarray(work.end)];
  const written = new Map([
    [SECTION.function, [...leb(types.length), ...types.flatMap(leb)]],
    [SECTION.export, renamed],
    [SECTION.code, [...leb(bodies.length), ...bodies.flatMap((body) => [...leb(body.length), ...body])]],
  ]);
  return joined(bytes, all.map(({ id, body }) => ({ id, body: Uint8Array.from(written.get(id) ?? body) })));
}

/** Names of the functions that a module imports. @param {Uint8Array} bytes */
function importedFunctions(bytes) {
  const cursor = { at: 0 };
  const names = [];
  for (let left = number(bytes, cursor); left > 0; left--) {
    text(bytes, cursor);
    const name = text(bytes, cursor);
    const kind = bytes[cursor.at++];
    if (kind === 0) {
      names.push(name);
      number(bytes, cursor);
    } else if (kind === 3) {
      cursor.at += 2;
    } else {
      // A table has its element type first; then, as for a memory, limits.
      if (kind === 1) cursor.at++;
      const bounded = bytes[cursor.at++] & 1;
      number(bytes, cursor);
      if (bounded) number(bytes, cursor);
    }
  }
  return names;
}

/** Index of each exported function, and where that is written. @param {Uint8Array} bytes */
function exportedFunctions(bytes) {
  const cursor = { at: 0 };
  const found = new Map();
  for (let left = number(bytes, cursor); left > 0; left--) {
    const name = text(bytes, cursor);
    const kind = bytes[cursor.at++];
    const at = cursor.at;
    const index = number(bytes, cursor);
    if (kind === 0) found.set(name, { index, at, end: cursor.at });
  }
  return found;
}

/** @param {Uint8Array} bytes */
function numbers(bytes) {
  const cursor = { at: 0 };
  return Array.from({ length: number(bytes, cursor) }, () => number(bytes, cursor));
}

/** @param {Uint8Array} bytes */
function codes(bytes) {
  const cursor = { at: 0 };
  return Array.from({ length: number(bytes, cursor) }, () => {
    const size = number(bytes, cursor);
    cursor.at += size;
    return bytes.subarray(cursor.at - size, cursor.at);
  });
}

/** @param {Uint8Array} bytes @returns {Section[]} */
function sections(bytes) {
  const found = [];
  for (const cursor = { at: HEADER }; cursor.at < bytes.length; ) {
    const id = bytes[cursor.at++];
    const size = number(bytes, cursor);
    cursor.at += size;
    found.push({ id, body: bytes.subarray(cursor.at - size, cursor.at) });
  }
  return found;
}

/** @param {Uint8Array} whole @param {Section[]} parts */
function joined(whole, parts) {
  const pieces = parts.flatMap(({ id, body }) => [Uint8Array.from([id, ...leb(body.length)]), body]);
  return Uint8Array.from(Buffer.concat([whole.subarray(0, HEADER), ...pieces]));
}

/** @param {Uint8Array} bytes @param {{at: number}} cursor */
function text(bytes, cursor) {
  const length = number(bytes, cursor);
  cursor.at += length;
  return Buffer.from(bytes.subarray(cursor.at - length, cursor.at)).toString();
}

/** LEB128. @param {Uint8Array} bytes @param {{at: number}} cursor */
function number(bytes, cursor) {
  let value = 0;
  for (let factor = 1; ; factor *= 128) {
    const byte = bytes[cursor.at++];
    value += (byte & 127) * factor;
    if (byte < 128) return value;
  }
}

/** @param {number} value */
function leb(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value & 127) | 128);
  bytes.push(value);
  return bytes;
}
