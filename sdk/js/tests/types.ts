// Compiled, never run: the API as an author in TypeScript sees it.
import { ConfigError, type Generator, type Source, defineGenerator, log, maxOutput, pin } from 'bootsplice-sdk';
import { Host } from 'bootsplice-sdk/testing';

interface Config { greeting: string; source?: Source }

const motd: Generator<Config> = defineGenerator<Config>({
  describe: () => ({ id: 'motd', version: '1.0.0', title: 'Motd', summary: 'Greets.', schema: { type: 'object' } }),
  resolve(target, config) {
    if (!config.greeting) throw new ConfigError('/greeting', 'say something', { hint: 'hello' });
    log.info('for', { release: target.release });
    const pins = config.source ? [pin('it', config.source).pin] : [];
    return { pins, maxOutput: maxOutput((sink) => sink.file('/etc/motd', config.greeting)) };
  },
  generate(_target, config, locked, instance, sink) {
    sink.file('/etc/motd', config.source ? locked.open('it') : config.greeting, { mode: 0o644, owner: 'root:adm' });
    return { notes: instance ? [instance.id] : [] };
  },
});

const step = new Host({ limits: { fetches: 1 } }).launch(motd, { greeting: 'hi' });
step.entries['/etc/motd']?.text.length;
// @ts-expect-error: the configuration has a type.
new Host().launch(motd, { greting: 'hi' });
