// From an exception to `settings.js:42: TypeError: text`: the innermost line of the author's own code.

const HERE = outside();

/** @param {unknown} error */
export function describeFault(error) {
  if (!(error instanceof Error)) return { message: `thrown: ${JSON.stringify(error)}`, stack: [] };
  const words = `${error.name}: ${error.message}`;
  const frames = (error.stack ?? '').split('\n').map(frame).filter((each) => each !== undefined);
  const own = frames.find((each) => each.own) ?? frames[0];
  const stack = [words, ...frames.map((each) => `    at ${each.name} (${each.file}:${each.line})`)];
  return { message: own ? `${own.file}:${own.line}: ${words}` : words, stack };
}

/** @param {string} text */
function frame(text) {
  const found = /^\s*at (?:(.*?) \()?([^()]*?):(\d+)(?::\d+)?\)?\s*$/.exec(text);
  if (!found) return undefined;
  const [, name = '', file, line] = found;
  // A component is one bundle; its build left a table of where each line came from.
  const place = /** @type {any} */ (globalThis).bootspliceLines?.at(Number(line));
  if (place) return { name, ...place };
  return { name, file: file.split('/').pop() ?? file, line: Number(line), own: !file.startsWith('node:') && !(HERE && file.startsWith(HERE)) };
}

/** The SDK's directory on a developer's machine. */
function outside() {
  return import.meta.url?.startsWith('file:') ? new URL('.', import.meta.url).href : undefined;
}
