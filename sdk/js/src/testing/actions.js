// Refuses actions that no agent could run, as the host does.
import { pathFault, userFault } from '../paths.js';
import { encode } from '../text.js';

const MAX_SCRIPT = 64 << 10;
const MAX_CHANGES = 10_000;
const UNIT = /^[A-Za-z0-9:_\\][A-Za-z0-9:_.\\@-]*\.(service|socket|timer|path|mount|automount|target|slice)$/;

/** What is wrong with an action. @param {any} action @returns {string | undefined} */
export function actionFault({ tag, val }) {
  if (tag === 'edit') return edit(val);
  if (tag === 'run') return command(val);
  if (val.unit.length > 255 || !UNIT.test(val.unit)) return `\`${val.unit}\` is no unit's name; expected one such as \`nginx.service\``;
  return user(val.user);
}

/** Every text of an action in which placeholders are filled. @param {any} action @returns {string[]} */
export function placeholderTexts({ tag, val }) {
  if (tag === 'edit') return val.changes.flatMap((/** @type {any} */ each) => (each.value === null ? [] : strings(JSON.parse(each.value))));
  return tag === 'run' ? val.environment.map((/** @type {any} */ pair) => pair[1]) : [];
}

/** @param {any} val */
function edit(val) {
  const fault = pathFault(val.file);
  if (fault) return `path \`${val.file}\`: ${fault}`;
  if (val.changes.length < 1 || val.changes.length > MAX_CHANGES) return `an edit of ${val.file} has 1 to ${MAX_CHANGES} changes`;
  for (const change of val.changes) {
    if (!change.path.startsWith('/') || change.path.length > 4096) return `\`${change.path}\` is no JSON Pointer below the root of ${val.file}`;
  }
  const bad = (/** @type {string[]} */ words) => !words[0] || words.some((word) => word.includes('\0'));
  return val.onChange.some(bad) ? 'an on-change command is a program and its arguments' : undefined;
}

/** @param {any} val */
function command(val) {
  if (!(val.interpreter.startsWith('/') || val.interpreter === 'powershell')) return `\`${val.interpreter}\` is not the absolute path of an interpreter`;
  const size = encode(val.text).length;
  if (size > MAX_SCRIPT) return `the script has ${size} bytes; ${MAX_SCRIPT} are allowed`;
  if (val.arguments.some((/** @type {string} */ word) => word.includes('\0'))) return 'an argument holds NUL';
  for (const [name] of val.environment) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return `\`${name}\` is no name of an environment variable`;
  }
  if (val.workingDirectory !== null && !/^[/~]/.test(val.workingDirectory)) return `working directory \`${val.workingDirectory}\` is not absolute`;
  return user(val.user);
}

/** @param {string | null} name */
function user(name) {
  return name !== null && userFault(name) ? `\`${name}\` is no user's name` : undefined;
}

/** @param {any} value @returns {string[]} */
function strings(value) {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(strings) : [];
}
