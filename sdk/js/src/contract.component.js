// The contract, connected to the host: what the bundle of a component takes.
import * as blobs from 'bootsplice:generator/blobs@0.1.0';
import * as cache from 'bootsplice:generator/cache@0.1.0';
import * as fetch from 'bootsplice:generator/fetch@0.1.0';
import * as inventory from 'bootsplice:generator/inventory@0.1.0';
import * as job from 'bootsplice:generator/job@0.1.0';
import * as trust from 'bootsplice:generator/trust@0.1.0';

export const contract = { blobs, cache, fetch, inventory, job, trust };
