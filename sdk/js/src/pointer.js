// JSON Pointers (RFC 6901): how a finding says where it stands.

/** `pointer('files', 0, 'path')` is `/files/0/path`. @param {...(string | number)} tokens */
export function pointer(...tokens) {
  return tokens.map((token) => '/' + String(token).replaceAll('~', '~0').replaceAll('/', '~1')).join('');
}

/** The values at a pointer whose tokens may be `*`. @param {unknown} document @param {string} pattern */
export function select(document, pattern) {
  let found = [document];
  for (const token of pattern.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~');
    found = found.flatMap((value) => {
      if (typeof value !== 'object' || value === null) return [];
      if (token === '*') return Object.values(value);
      return Object.hasOwn(value, name) ? [/** @type {any} */ (value)[name]] : [];
    });
  }
  return found;
}
