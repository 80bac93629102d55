// Every test of the published TypeScript clients in one process, and a look at what was driven.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import './org.test.mjs';
import './repos.test.mjs';
import './reading.test.mjs';
import './writing.test.mjs';
import './upstream.test.mjs';
import './webhooks.test.mjs';
import './matrix.test.mjs';
import './errors.test.mjs';
import { methodNames, operationNames } from './operations.mjs';
import { driven } from './support.mjs';

after(() => {
  // Until git transfer exists these are refused, which the tests of upstreams look at.
  const refused = ['syncUpstream', 'getRepoUpstreamSync', 'repos.syncUpstream', 'repos.getUpstreamSync'];
  const missing = (names, seen) => names.filter((name) => !refused.includes(name) && !seen.has(name));
  assert.deepEqual(missing(operationNames, driven.rest), [], 'operations that no test saw succeed');
  assert.deepEqual(missing(methodNames, driven.sdk), [], 'methods of the SDK that no test saw succeed');
});
