// A generator for bootsplice: greets whoever logs in.
import { defineGenerator, diagnostic, maxOutput } from 'bootsplice-sdk';

import schema from './schema.json' with { type: 'json' };

/**
 * `with:` of a step. The same as in schema.json, by which the host checks it first.
 * @typedef {{greeting: string}} Config
 */

export default /** @type {import('bootsplice-sdk').Generator<Config>} */ (defineGenerator({
  describe: () => ({
    id: '{{name}}',
    version: '0.1.0',
    title: 'Greeting',
    summary: 'Greets whoever logs in.',
    schema,
    examples: { 'A greeting': { greeting: 'Welcome to {{instance:id}}' } },
  }),

  // What the schema cannot say.
  *validate(_target, config) {
    if (!config.greeting.trim()) {
      yield diagnostic('/greeting', 'the greeting is blank', { code: 'blank', hint: 'write one, or drop the step' });
    }
  },

  // Nothing is fetched, so there is nothing to pin.
  resolve: (_target, config) => ({ maxOutput: maxOutput((sink) => write(config, sink)) }),

  generate: (_target, config, _locked, _instance, sink) => write(config, sink),
}));

/** @param {Config} config @param {import('bootsplice-sdk').Sink} sink */
function write(config, sink) {
  // The host fills placeholders in per launch.
  sink.template('/etc/motd.d/{{name}}', `${config.greeting}\n`, { format: 'plain' });
}
