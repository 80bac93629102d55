// Every test of the published TypeScript clients in one process, and a look at what was driven.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import * as rest from '@mesadev/rest';
import './org.test.mjs';
import './repos.test.mjs';
import './reading.test.mjs';
import './writing.test.mjs';
import './upstream.test.mjs';
import './webhooks.test.mjs';
import './errors.test.mjs';
import { driven, origin } from './support.mjs';

after(async () => {
  const document = await (await fetch(`${origin}/openapi.json`)).json();
  const served = Object.values(document.paths).flatMap((path) => Object.values(path).map((operation) => operation.operationId));
  const shared = served.filter((id) => rest[id]);
  assert.ok(shared.length >= 20, shared.join());
  assert.deepEqual(shared.filter((id) => !driven.rest.has(id)), [], 'operations of the client that the server offers and no test calls');
});
