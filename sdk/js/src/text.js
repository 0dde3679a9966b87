// UTF-8 without TextEncoder and TextDecoder, which QuickJS does not have.

/** @param {string} text */
export function encode(text) {
  const bytes = [];
  for (const character of text) {
    let code = character.codePointAt(0) ?? 0;
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return Uint8Array.from(bytes);
}

/** Throws a RangeError on what is not UTF-8. @param {Uint8Array} bytes */
export function decode(bytes) {
  const pieces = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at];
    const length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
    if (length === 0 || at + length > bytes.length) throw new RangeError(`byte ${at} is not UTF-8`);
    let code = length === 1 ? first : first & (0x7f >> length);
    for (let next = 1; next < length; next++) {
      if ((bytes[at + next] & 0xc0) !== 0x80) throw new RangeError(`byte ${at + next} is not UTF-8`);
      code = (code << 6) | (bytes[at + next] & 63);
    }
    const least = [0, 0, 0x80, 0x800, 0x10000][length];
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw new RangeError(`byte ${at} is not UTF-8`);
    pieces.push(String.fromCodePoint(code));
    at += length;
  }
  return pieces.join('');
}
