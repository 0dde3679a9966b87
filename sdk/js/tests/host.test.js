// The fake host refuses what the real one refuses, and says the same.
import assert from 'node:assert/strict';
import test from 'node:test';

import { ConfigError, GeneratorError, blob, fetch, log, pin } from 'bootsplice-sdk';
import { Host } from 'bootsplice-sdk/testing';

const URL = 'https://a.example/x/file';

/** @param {any} [generate] @param {any} [resolve] @param {any} [more] */
function author(generate, resolve, more = {}) {
  return {
    describe: () => ({ id: 'made', version: '1.0.0', title: 'Made', summary: 'For a test.', schema: {}, ...more }),
    resolve: (_t, config) => resolve?.(config) ?? { maxOutput: 1 << 20 },
    generate: (_t, _c, locked, instance, sink) => void generate?.(sink, locked, instance),
  };
}

function refused(tag, words, work) {
  assert.throws(work, (error) => {
    assert(error instanceof GeneratorError, String(error));
    assert.equal(error.tag, tag, error.message);
    assert.match(error.message, words);
    return true;
  });
}

const launch = (generate, limits = {}) => () => new Host({ limits }).launch(author(generate), {});

test('a path has one form', () => {
  for (const path of ['etc/motd', '/etc//motd', '/etc/../x', '/a\nb', '~a b/x', '~ada', `/${'a'.repeat(256)}`, '/\u202etxt']) {
    refused('denied', /path `/, launch((sink) => sink.file(path, 'x')));
  }
  const step = launch((sink) => sink.file('~ada/notes.txt', 'hi', { owner: 'ada:staff' }))();
  assert.deepEqual(step.entries['~ada/notes.txt'].owner, { user: 'ada', group: 'staff' });
});

test('modes and owners are checked', () => {
  refused('denied', /4755 has bits beyond 0777/, launch((sink) => sink.file('/x', '', { mode: 0o4755 })));
  refused('denied', /no user's or group's name/, launch((sink) => sink.file('/x', '', { owner: 'a b' })));
});

test('a name stands once and nothing lies below a file', () => {
  refused('denied', /already has an entry/, launch((sink) => (sink.file('/\u00e9', '1'), sink.file('/e\u0301', '2'))));
  refused('denied', /below an entry that is no directory/, launch((sink) => (sink.symlink('/a', 'b'), sink.file('/a/x', '1'))));
  refused('denied', /leads out of its root/, launch((sink) => sink.symlink('/a', '../../b')));
});

test('an output bomb stays broken even if the generator goes on', () => {
  const stubborn = (sink) => {
    try {
      sink.file('/big', 'x'.repeat(100_000));
    } catch {}
  };
  refused('quota-exceeded', /output-bytes/, launch(stubborn, { outputBytes: 10_000 }));
  const many = (sink) => Array.from({ length: 9 }, (_, n) => sink.file(`/${n}`, ''));
  refused('quota-exceeded', /output-entries/, launch(many, { outputEntries: 8 }));
  refused('fault', /the lock file said 10/, () => new Host().launch(author((sink) => sink.file('/x', 'x'), () => ({ maxOutput: 10 })), {}));
});

test('large content comes whole', () => {
  const made = author((sink) => sink.file('/x', new Uint8Array(3 << 20)), () => ({ maxOutput: 4 << 20 }));
  assert.equal(new Host().launch(made, {}).entries['/x'].content.length, 3 << 20);
});

test('placeholders are known and secrets named', () => {
  const template = (text) => (sink) => sink.template('/x.json', text);
  refused('unsupported', /is not a placeholder/, launch(template('{{instance:ip}}')));
  refused('denied', /secret `key` is not named/, launch(template('{{secret:key}}')));
  const entry = launch(template('{{instance:id}} {{jinja}}'))().entries['/x.json'];
  assert.deepEqual([entry.kind, entry.format], ['template', 'json']);
});

test('actions are checked', () => {
  refused('unsupported', /no unit's name/, launch((sink) => sink.service('nginx')));
  refused('unsupported', /interpreter/, launch((sink) => sink.run('x', { interpreter: 'sh' })));
  refused('unsupported', /65537 bytes/, launch((sink) => sink.run('x'.repeat(65537))));
  refused('unsupported', /1 to 10000 changes/, launch((sink) => sink.edit('/x', 'ini', {})));
});

const resolve = (get, wish = 'https://a.example/', options = {}) => {
  const host = new Host({ files: { [URL]: 'bytes' }, ...options });
  host.resolve(author(undefined, () => (get(), { maxOutput: 0 }), { fetch: [wish] }), {});
  return host;
};

test('a grant covers whole segments and what the descriptor asks for', () => {
  const get = () => fetch.get(URL);
  assert.deepEqual(resolve(get).fetched, [URL]);
  resolve(get, undefined, { grants: ['https://a.example/x'] });
  resolve(get, 'https://*/');
  refused('denied', /no grant of this step covers it/, () => resolve(get, undefined, { grants: ['https://a.example/xy'] }));
  refused('denied', /no grant of this step covers it/, () => resolve(get, 'https://b.example/'));
});

test('bytes are what was promised', () => {
  refused('integrity', /but sha256:0000/, () => resolve(() => fetch.get({ url: URL, sha256: '0'.repeat(64) })));
  refused('not-found', /404/, () => resolve(() => fetch.get(`${URL}2`), undefined, { grants: ['https://a.example/'] }));
  refused('quota-exceeded', /fetch-bytes/, () => resolve(() => fetch.get({ url: URL, maxSize: 3 })));
  refused('quota-exceeded', /fetch-count/, () => resolve(() => [1, 2, 3].map(() => fetch.get(URL)), undefined, { limits: { fetches: 2 } }));
  refused('denied', /secret `token` is not granted/, () => resolve(() => fetch.getAll([{ url: URL, credential: 'token' }])));
});

test('generate fetches only what is pinned', () => {
  const host = new Host({ files: { [URL]: 'bytes' } });
  const locks = () => ({ maxOutput: 4096, pins: [pin('it', { url: URL }).pin] });
  const made = (generate) => author(generate, locks, { fetch: [URL] });
  assert.equal(host.launch(made((sink, locked) => sink.file('/x', locked.open('it'))), {}).entries['/x'].text, 'bytes');
  refused('denied', /names the digest of a pin/, () => host.launch(made(() => fetch.get(URL)), {}));
  refused('denied', /is not in the lock/, () => host.launch(made(() => fetch.get({ url: URL, sha256: '0'.repeat(64) })), {}));
});

test('an exception is a fault with file and line', () => {
  const host = new Host();
  refused('fault', /^host\.test\.js:\d+: TypeError: /, () => host.launch(author(() => undefined.x), {}));
  assert.match(host.log[1].message, /host\.test\.js/);
});

test('a configuration error keeps its pointer', () => {
  const wrong = () => {
    throw new ConfigError('/a/0', 'wrong');
  };
  assert.throws(() => new Host().resolve(author(undefined, wrong), {}), (error) => error.findings[0].pointer === '/a/0');
});

test('the log is bounded and blobs come back', () => {
  const host = new Host({ limits: { logBytes: 100 } });
  host.launch(author(() => [1, 2, 3].forEach(() => log.info('x'.repeat(60)))), {});
  assert.equal(host.log.length, 1);
  const seen = [];
  const state = author((_sink, locked) => seen.push(locked.state.text()), () => ({ maxOutput: 0, state: blob('Grüße') }));
  host.launch(state, {});
  assert.deepEqual(seen, ['Grüße']);
});
