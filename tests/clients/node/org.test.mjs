// Identity, org, API keys and the access tokens signed from them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MesaError, OrgResolutionError } from '@mesadev/sdk';
import { adminKey, call, ok, org, origin, refused, rejects, repo, sdk, unique } from './support.mjs';

test('whoami names the key and the org', async () => {
  const me = await ok('whoami', 200);
  assert.equal(me.org.slug, org);
  assert.match(me.key_id, /^key_/);
  assert.deepEqual(me.scopes, ['read', 'write', 'admin']);
  assert.deepEqual(await sdk().whoami(), me);
  assert.equal(await sdk().resolveOrg(), org);
});

test('org summary counts repos', async () => {
  const before = (await ok('getOrg', 200)).num_repos;
  await repo('counted');
  const mesa = sdk();
  const after = await mesa.org.get();
  assert.ok(after.num_repos > before);
  assert.match(after.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/);
});

test('api keys are made, listed, labelled and revoked', async () => {
  const mesa = sdk({ org });
  const name = unique('key');
  const made = await mesa.apiKeys.create({ name, scopes: ['read'], expires_in_seconds: 3600, tags: { Team: 'x' } });
  assert.match(made.key, /^mesa_/);
  assert.deepEqual([made.name, made.scopes, made.repo_ids, made.tags], [name, ['read'], null, { team: 'x' }]);
  const listed = await ok('listApiKeys', 200, { query: { query: name, status: 'active', scope: 'read' } });
  assert.deepEqual(listed.api_keys.map((k) => k.id), [made.id]);
  for (const field of ['metadata', 'last_used_at', 'revoked_at']) assert.equal(listed.api_keys[0][field], null);
  assert.ok((await mesa.apiKeys.list()).api_keys.length > 0);
  const tags = await ok('updateApiKey', 200, { path: { id: made.id }, body: { tags: { team: null, run: '7' } } });
  assert.deepEqual(tags, { tags: { run: '7' } });
  assert.deepEqual(await mesa.apiKeys.revoke({ id: made.id }), { success: true });
  await refused('whoami', 401, 'CREDENTIAL_REVOKED', {}, { key: made.key });
  const other = await ok('createApiKey', 201, { body: {} });
  assert.deepEqual(other.scopes, ['read', 'write']);
  assert.deepEqual(await ok('revokeApiKey', 200, { path: { id: other.id } }), { success: true });
});

test('pages of keys hold every key once', async () => {
  const stem = unique('paged');
  for (let n = 0; n < 5; n++) await ok('createApiKey', 201, { body: { name: `${stem}-${n}` } });
  const seen = [];
  let cursor;
  do {
    const page = await ok('listApiKeys', 200, { query: { query: stem, limit: 2, cursor } });
    seen.push(...page.api_keys.map((k) => k.name));
    assert.equal(page.has_more, page.next_cursor !== null);
    cursor = page.next_cursor ?? undefined;
    // A key made meanwhile neither hides nor repeats another.
    if (seen.length === 2) await ok('createApiKey', 201, { body: { name: `${stem}-late` } });
  } while (cursor);
  assert.equal(new Set(seen).size, seen.length);
  for (let n = 0; n < 5; n++) assert.ok(seen.includes(`${stem}-${n}`), seen.join());
});

test('tokens signed by the client are no stronger than their key', async () => {
  const one = await repo('token-a');
  const two = await repo('token-b');
  const mesa = sdk();
  const made = await mesa.tokens.create({ scopes: ['read'], repos: [`${org}/${one.name}`], ttl_seconds: 60 });
  assert.equal((await ok('getRepo', 200, { path: one.path }, { key: made.token })).id, one.id);
  await refused('getRepo', 404, 'REPO_NOT_FOUND', { path: two.path }, { key: made.token });
  await refused('updateRepo', 403, 'FORBIDDEN', { path: one.path, body: { tags: {} } }, { key: made.token });
  const weak = await mesa.apiKeys.create({ scopes: ['read'] });
  const grown = await sdk({ apiKey: weak.key }).tokens.create({ scopes: ['admin'] });
  await refused('listApiKeys', 403, 'FORBIDDEN', {}, { key: grown.token });
  await mesa.apiKeys.revoke({ id: weak.id });
  await refused('whoami', 401, 'CREDENTIAL_REVOKED', {}, { key: grown.token });
  const cut = `${made.token.slice(0, -6)}AAAAAA`;
  await refused('whoami', 401, 'CREDENTIAL_UNKNOWN', {}, { key: cut });
});

test('a client without a usable key says so', async () => {
  await assert.rejects(sdk({ apiKey: `mesa_${'x'.repeat(44)}` }).repos.list(), (error) => {
    assert.ok(error instanceof OrgResolutionError && error instanceof MesaError, String(error));
    return true;
  });
  await rejects(sdk({ apiKey: `mesa_${'x'.repeat(44)}`, org }).repos.list(), 401, 'CREDENTIAL_UNKNOWN');
});

test('a key sees its repos only', async () => {
  const [inside, outside] = [await repo('inside'), await repo('outside')];
  const key = await ok('createApiKey', 201, { body: { repo_ids: [inside.id] } });
  const listed = await ok('listRepos', 200, {}, { key: key.key });
  assert.deepEqual(listed.repos.map((r) => r.id), [inside.id]);
  await refused('getRepo', 404, 'REPO_NOT_FOUND', { path: outside.path }, { key: key.key });
  await refused('createRepo', 403, 'FORBIDDEN', { body: {} }, { key: key.key });
  const { response } = await call('getOrg', { path: { org: 'other-org' } }, { key: adminKey, at: origin });
  assert.equal(response.status, 404);
});
