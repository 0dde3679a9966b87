// A bundle holds what a component needs, and knows where its lines came from.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';

import { decode, encode } from 'bootsplice-sdk';
import { bundle } from '../src/build.js';

/** @param {Record<string, string>} files */
async function bundled(files) {
  const place = await mkdtemp(path.join(tmpdir(), 'bundle-'));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(path.join(place, name), text);
    return await bundle(path.join(place, Object.keys(files)[0]));
  } finally {
    await rm(place, { recursive: true });
  }
}

test('TypeScript, JSON and the SDK are inside, the contract is left to the host', async () => {
  const text = await bundled({
    'motd.ts': "import { log } from 'bootsplice-sdk';\nimport words from './words.json' with { type: 'json' };\ninterface X { y: number }\nexport default { describe: (): X => { log.info(words.hi); throw new Error('here'); } };\n",
    'words.json': '{"hi": "hello"}',
  });
  assert.match(text, /from "bootsplice:generator\/job@0\.1\.0"/);
  assert.match(text, /"hello"/);
  assert.doesNotMatch(text, /interface X/);
  const [, table] = text.split('globalThis.bootspliceLines = ');
  const lines = new Function(`return ${table}`)();
  const at = text.split('\n').findIndex((line) => line.includes('"here"')) + 1;
  assert.deepEqual(lines.at(at), { file: 'motd.ts', own: true, line: 4 });
});

test('a module of Node is refused by its name when the component is built', async () => {
  await assert.rejects(bundled({ 'x.js': "import 'node:fs';\nexport default {};\n" }), /`node:fs` does not exist in a component/);
});

test('UTF-8 comes back as it was and nothing else is taken for it', () => {
  for (const text of ['', 'plain', 'Grüße', '漢字', '🦀']) {
    assert.deepEqual(encode(text), new TextEncoder().encode(text));
    assert.equal(decode(encode(text)), text);
  }
  for (const wrong of [[0x80], [0xc0, 0xaf], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xc3]]) {
    assert.throws(() => decode(Uint8Array.from(wrong)), RangeError);
  }
});
