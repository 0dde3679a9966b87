// Cases that every SDK's fake host and the engine share.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { GeneratorError } from 'bootsplice-sdk';
import { Host } from 'bootsplice-sdk/testing';

const shared = JSON.parse(readFileSync(new URL('../../cases.json', import.meta.url), 'utf8'));

/** A text, or some letters `x` behind another. */
const name = (value) => (typeof value === 'string' ? value : value.before + 'x'.repeat(value.x));

function call(sink, made) {
  const attrs = {};
  if (made.mode !== undefined) attrs.mode = made.mode;
  if (made.user !== undefined) attrs.owner = made.group ? `${made.user}:${made.group}` : made.user;
  const text = 'x'.repeat(made.size ?? 0);
  if (made.file !== undefined) sink.file(name(made.file), text, attrs);
  else if (made.dir !== undefined) sink.dir(name(made.dir), attrs);
  else if (made.template !== undefined) sink.template(made.template, made.text);
  else if (made.symlink !== undefined) sink.symlink(made.symlink, made.to);
  else if (made.service !== undefined) sink.service(made.service);
  else if (made.run !== undefined) sink.run(text, { interpreter: made.run, user: made.user });
  else sink.edit(made.edit, 'ini', { set: made.set ? { [made.set.path]: made.set.value } : {} });
}

for (const { name: what, do: calls, refused } of shared.cases) {
  test(`as on a real host: ${what}`, () => {
    const author = {
      describe: () => ({ id: 'made', version: '1.0.0', title: 'Made', summary: 'For a test.', schema: {}, secrets: ['/secret'] }),
      resolve: () => ({ maxOutput: 1 << 20 }),
      generate: (_t, _c, _l, _i, sink) => { for (const made of calls) call(sink, made); },
    };
    const limits = { outputBytes: shared.limits.output_bytes, outputEntries: shared.limits.output_entries };
    const launch = () => new Host({ limits }).launch(author, shared.config);
    if (!refused) return void launch();
    assert.throws(launch, (error) => {
      assert(error instanceof GeneratorError, String(error));
      assert.equal(error.tag, refused.code, error.message);
      assert(error.message.includes(refused.words), error.message);
      return true;
    });
  });
}
