// Builds the component of a package: bundles it with the SDK and its dependencies, and puts the bundle into QuickJS.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { repair } from './borrows.js';
import { lines } from './lines.js';

const SDK = fileURLToPath(new URL('..', import.meta.url));

/** The package's `bootsplice` or `main` names the module whose default export is the generator. @param {string} project @param {string} output */
export async function build(project, output) {
  const { componentize } = createRequire(import.meta.url)('componentize-qjs');
  const named = JSON.parse(await readFile(path.join(project, 'package.json'), 'utf8'));
  const main = named.bootsplice?.generator ?? named.main;
  if (!main) throw new Error('package.json names no module: write "bootsplice": {"generator": "src/generator.js"}');
  const { component } = await componentize({
    witPath: path.join(SDK, 'wit'), world: 'plugin', jsSource: await bundle(path.resolve(project, main)), stubWasi: true, sync: true,
  });
  await mkdir(path.dirname(output), { recursive: true });
  const repaired = repair(component);
  await writeFile(output, repaired);
  return repaired.length;
}

/** One module: TypeScript stripped, dependencies and JSON inside, imports of the contract left. @param {string} main */
export async function bundle(main) {
  const esbuild = await import('esbuild');
  const entry = [
    `import author from ${JSON.stringify(main)};`, "import { component } from './src/component.js';",
    "import { close } from './src/sandbox.js';", 'export const { pluginInfo, generator } = component(author);', 'close();',
  ];
  const made = await esbuild.build({
    stdin: { contents: entry.join('\n'), resolveDir: SDK, sourcefile: 'entry.js' },
    bundle: true, write: false, format: 'esm', platform: 'neutral', target: 'es2023', mainFields: ['module', 'main'],
    conditions: ['bootsplice', 'import'], external: ['bootsplice:*'], sourcemap: 'external', outdir: '.', charset: 'utf8', logLevel: 'silent',
    alias: { 'bootsplice-sdk': path.join(SDK, 'src/index.js') },
    plugins: [{ name: 'no-node', setup: (/** @type {any} */ setup) => setup.onResolve({ filter: /^node:/ }, noNode) }],
  });
  const text = (/** @type {string} */ end) => made.outputFiles.find((file) => file.path.endsWith(end))?.text ?? '';
  return text('.js') + table(JSON.parse(text('.js.map')));
}

/** @param {{path: string, importer: string}} asked */
function noNode(asked) {
  return { errors: [{ text: `\`${asked.path}\` does not exist in a component; see "What does not work" in the SDK's README` }] };
}

/** Code that leaves `bootspliceLines` for src/stack.js; behind the bundle, so that it moves no line. @param {any} map */
function table(map) {
  /** @type {string[]} */
  const files = [];
  const rows = lines(map).map((place) => {
    if (!place) return 0;
    const at = files.includes(place[0]) ? files.indexOf(place[0]) : files.push(place[0]) - 1;
    return [at, place[1]];
  });
  const known = files.map((file) => {
    const own = !path.resolve(file).startsWith(path.join(SDK, 'src')) && !file.includes('node_modules/') && file !== 'entry.js';
    return [path.basename(file), own];
  });
  return `
globalThis.bootspliceLines = ((files, rows) => ({
  at(line) {
    const place = rows[line - 1];
    return place ? { file: files[place[0]][0], own: files[place[0]][1], line: place[1] } : undefined;
  },
}))(${JSON.stringify(known)}, ${JSON.stringify(rows)});
`;
}
