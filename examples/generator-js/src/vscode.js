// Settings and extensions of Visual Studio Code for a user.
//
// - id: editor
//   use: vscode
//   at: base
//   with: { user: ada, settings: { editor.formatOnSave: true }, extensions: [ms-python.python] }
//
// Settings are edits, so what the user wrote stays. Extensions with a URL are pinned and lie on the disk: that guest needs no network.
import { defineGenerator, diagnostic, log, maxOutput, pin, pointer, userFault } from 'bootsplice-sdk';

import offline from '../examples/offline.json' with { type: 'json' };
import python from '../examples/python.json' with { type: 'json' };
import schema from './schema.json' with { type: 'json' };

/** @typedef {{id: string, url: string, sha256?: string, credential?: string}} Packed */
/** @typedef {{user: string, program?: 'code' | 'codium', settings?: Record<string, unknown>, extensions?: (string | Packed)[]}} Config */

const FOLDERS = { code: 'Code', codium: 'VSCodium' };
const PLACE = '.local/share/bootsplice/vscode';
const INSTALL = `\
command -v "$PROGRAM" > /dev/null || { echo "$PROGRAM is not installed" >&2; exit 1; }
cd "$HOME/${PLACE}"
while read -r extension; do
    "$PROGRAM" --install-extension "$extension" --force
done < extensions.list
`;

export default /** @type {import('bootsplice-sdk').Generator<Config>} */ (defineGenerator({
  describe: () => ({
    id: 'vscode',
    version: '0.1.0',
    title: 'Visual Studio Code',
    summary: 'Settings and extensions of Visual Studio Code for a user.',
    schema,
    examples: { 'A Python developer': python, 'An extension of the house': offline },
    stage: 'late',
    fetch: ['${config:/extensions/*/url}'],
    secrets: ['/extensions/*/credential'],
  }),

  *validate(_target, config) {
    const fault = userFault(config.user);
    if (fault) yield diagnostic('/user', fault, { code: 'invalid-name' });
    const seen = new Map();
    for (const [index, extension] of (config.extensions ?? []).entries()) {
      const at = typeof extension === 'string' ? pointer('extensions', index) : pointer('extensions', index, 'id');
      const id = idOf(extension).toLowerCase();
      if (!/^[a-z0-9][a-z0-9-]*\.[a-z0-9][a-z0-9._-]*$/.test(id)) {
        yield diagnostic(at, `\`${id}\` is no extension's name`, { code: 'invalid-extension', hint: 'write it like `ms-python.python`' });
      } else if (seen.has(id)) {
        yield diagnostic(at, `\`${id}\` stands at ${seen.get(id)} already`, { code: 'duplicate' });
      }
      seen.set(id, at);
    }
  },

  resolve(_target, config) {
    const pins = packed(config).map((extension) => {
      const { pin: made, content } = pin(extension.id, extension);
      // The local header of a zip's first member.
      if (String.fromCharCode(...content.read(0, 4)) !== 'PK\x03\x04') throw new Error(`${extension.url} is no .vsix: it does not begin as a zip`);
      return made;
    });
    log.info('resolved', { extensions: config.extensions?.length ?? 0, packed: pins.length });
    return { pins, maxOutput: maxOutput((sink) => write(config, sink)) };
  },

  generate(_target, config, locked, _instance, sink) {
    for (const { id } of packed(config)) {
      sink.file(`~${config.user}/${PLACE}/${id}.vsix`, locked.open(id));
    }
    write(config, sink);
    return { notes: [`${Object.keys(config.settings ?? {}).length} settings and ${config.extensions?.length ?? 0} extensions for ${config.user}`] };
  },
}));

/** @param {string | Packed} extension */
function idOf(extension) {
  return typeof extension === 'string' ? extension : extension.id;
}

/** @param {Config} config @returns {Packed[]} */
function packed(config) {
  return (config.extensions ?? []).filter((extension) => typeof extension !== 'string');
}

/** Everything but the packed extensions. @param {Config} config @param {import('bootsplice-sdk').Sink} sink */
function write({ user, program = 'code', settings = {}, extensions = [] }, sink) {
  const set = Object.fromEntries(Object.entries(settings).map(([name, value]) => [pointer(name), value]));
  if (extensions.length) {
    const lines = extensions.map((extension) => (typeof extension === 'string' ? extension : `./${extension.id}.vsix`));
    sink.file(`~${user}/${PLACE}/extensions.list`, lines.map((line) => `${line}\n`).join(''));
  }
  if (Object.keys(set).length) sink.edit(`~${user}/.config/${FOLDERS[program]}/User/settings.json`, 'json', { set, create: true });
  if (extensions.length) sink.run(INSTALL, { user, environment: { PROGRAM: program } });
}
