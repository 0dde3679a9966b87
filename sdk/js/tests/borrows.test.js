// The repair of a component knows the form that it expects.
import assert from 'node:assert/strict';
import test from 'node:test';

import { repair } from '../src/borrows.js';

test('a component without the export that is repaired is refused', () => {
  const empty = Uint8Array.from([0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0]);
  assert.throws(() => repair(empty), /0 functions `generate` where one was expected/);
});
