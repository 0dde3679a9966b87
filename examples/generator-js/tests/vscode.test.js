import assert from 'node:assert/strict';
import test from 'node:test';

import { GeneratorError } from 'bootsplice-sdk';
import { Host } from 'bootsplice-sdk/testing';

import vscode from '../src/vscode.js';

const URL = 'https://artefacts.example.com/vsix/house-style-1.2.0.vsix';
const VSIX = 'PK\x03\x04 and so on';
const house = { id: 'acme.house-style', url: URL };

test('settings are edits and extensions a list that the editor installs', () => {
  const step = new Host().launch(vscode, { user: 'ada', settings: { 'editor.rulers': [80] }, extensions: ['ms-python.python'] });
  assert.equal(step.entries['~ada/.local/share/bootsplice/vscode/extensions.list'].text, 'ms-python.python\n');
  const [edit, run] = step.actions;
  assert.equal(edit.val.file, '~ada/.config/Code/User/settings.json');
  assert.deepEqual(edit.val.changes, [{ verb: 'set', path: '/editor.rulers', value: '[80]', expected: null }]);
  assert.equal(run.val.user, 'ada');
  assert.deepEqual(step.notes, ['1 settings and 1 extensions for ada']);
});

test('an extension with a URL is pinned and lies on the disk', () => {
  const host = new Host({ files: { [URL]: VSIX } });
  const step = host.launch(vscode, { user: 'ada', program: 'codium', extensions: [house] });
  assert.equal(step.entries['~ada/.local/share/bootsplice/vscode/acme.house-style.vsix'].text, VSIX);
  assert.equal(step.entries['~ada/.local/share/bootsplice/vscode/extensions.list'].text, './acme.house-style.vsix\n');
});

test('what is no .vsix is a fault with file and line', () => {
  const host = new Host({ files: { [URL]: '<html>' } });
  assert.throws(() => host.launch(vscode, { user: 'ada', extensions: [house] }), (error) => {
    assert(error instanceof GeneratorError);
    assert.match(error.message, /^vscode\.js:\d+: Error: .* is no \.vsix: it does not begin as a zip$/);
    return error.tag === 'fault';
  });
});

test('findings have pointers', () => {
  const found = new Host().validate(vscode, { user: 'a b', extensions: ['python', 'a.b', { id: 'A.B', url: URL }] });
  assert.deepEqual(found.map((finding) => finding.pointer), ['/user', '/extensions/0', '/extensions/2/id']);
});

test('the examples are valid', () => {
  const { examples } = new Host().describe(vscode);
  for (const { config } of examples) assert.deepEqual(new Host().validate(vscode, JSON.parse(config)), []);
});
