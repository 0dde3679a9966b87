#!/usr/bin/env node
// `bootsplice-sdk build [PACKAGE] [-o FILE]`
import path from 'node:path';
import { parseArgs } from 'node:util';

import { build } from '../src/build.js';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { output: { type: 'string', short: 'o' } } });
const [command, project = '.'] = positionals;
if (command !== 'build') {
  console.error('usage: bootsplice-sdk build [PACKAGE] [-o FILE]');
  process.exit(2);
}
const output = values.output ?? path.join(project, 'build/component.wasm');
const started = performance.now();
try {
  const size = await build(project, output);
  console.log(`${output}: ${size} bytes in ${((performance.now() - started) / 1000).toFixed(1)} s`);
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}
