// Paths and names in the guest. The host checks again; this is for findings with a pointer, early.
import { encode } from './text.js';

/** What is wrong with `/etc/motd` or `~ada/notes.txt`; undefined when it is good. @param {string} text */
export function pathFault(text) {
  if (encode(text).length > 4096) return 'longer than 4096 bytes';
  let below = text.slice(1);
  if (text.startsWith('~')) {
    const slash = text.indexOf('/');
    if (slash < 0) return 'a home is `~user/…`';
    if (userFault(text.slice(1, slash))) return "the user's name after `~` is not valid";
    below = text.slice(slash + 1);
  } else if (!text.startsWith('/')) {
    return 'start it with `/` or `~user/`';
  }
  return below.split('/').map(segmentFault).find(Boolean);
}

/** What is wrong with a symbolic link's target. @param {string} link @param {string} to */
export function linkFault(link, to) {
  if (!to || encode(to).length >= 4096) return "a link's target has 1 to 4095 bytes";
  if (/^[/~]/.test(to)) return "a link's target is relative";
  let depth = link.split('/').length - 2;
  for (const segment of to.split('/')) {
    if (segment === '..') {
      if (--depth < 0) return 'it leads out of its root';
    } else if (segment !== '' && segment !== '.') {
      const fault = segmentFault(segment);
      if (fault) return fault;
      depth++;
    }
  }
  return undefined;
}

/** What is wrong with the name of a user or group. @param {string} name */
export function userFault(name) {
  if (name.length <= 32 && /^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$/.test(name)) return undefined;
  return "a user's or group's name has 1 to 32 letters, digits, `_`, `-` and `.`, and begins with a letter, a digit or `_`";
}

/** @param {string} segment */
function segmentFault(segment) {
  if (!segment) return 'an empty segment (`//`, or a `/` at the end)';
  if (segment === '.' || segment === '..') return 'a `.` or `..` segment';
  if (encode(segment).length > 255) return 'a segment longer than 255 bytes';
  if (/\p{Cc}/u.test(segment)) return 'a control character';
  if (/[\u202a-\u202e\u2066-\u2069\u200e\u200f]/.test(segment)) return 'a character that reverses the direction of text';
  return undefined;
}
