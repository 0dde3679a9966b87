// `node --test` in the project's directory, after `npm install`.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Host } from 'bootsplice-sdk/testing';

import plugin from '../src/plugin.js';

test('the greeting is a line of the message of the day', () => {
  const step = new Host().launch(plugin, { greeting: 'Hello' });
  assert.equal(step.entries['/etc/motd.d/{{name}}'].text, 'Hello\n');
});

test('a blank greeting is refused at its place', () => {
  assert.equal(new Host().validate(plugin, { greeting: ' ' })[0].pointer, '/greeting');
});
