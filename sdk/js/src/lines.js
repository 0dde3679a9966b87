// Where each line of a bundle came from, read from its source map (ECMA-426) at build time.

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** For each line from 1: `[source, line]` of its first mapping. @param {{sources: string[], mappings: string}} map */
export function lines(map) {
  let source = 0;
  let line = 0;
  return map.mappings.split(';').map((segments) => {
    /** @type {[string, number] | undefined} */
    let first;
    for (const segment of segments.split(',')) {
      const fields = numbers(segment);
      if (fields.length < 4) continue;
      source += fields[1];
      line += fields[2];
      first ??= [map.sources[source], line + 1];
    }
    return first;
  });
}

/** Base 64 VLQ. @param {string} segment */
function numbers(segment) {
  const found = [];
  let value = 0;
  let shift = 0;
  for (const digit of segment) {
    const bits = DIGITS.indexOf(digit);
    value |= (bits & 31) << shift;
    shift += 5;
    if (!(bits & 32)) {
      found.push(value & 1 ? -(value >> 1) : value >> 1);
      value = shift = 0;
    }
  }
  return found;
}
