// Identity, org, API keys and signing keys.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { generatePrivateKey, Mesa, NotFoundError, PermissionDeniedError } from '@mesadev/sdk';
import { client, makeRepo, mesa, org, rejects, server, unique } from './support/index.js';

test('whoami names the key and the org', async () => {
  const me = await mesa.whoami();
  assert.equal(me.org.slug, org);
  assert.match(me.key_id ?? '', /^key_/);
  assert.deepEqual(me.scopes, ['read', 'write', 'admin']);
  assert.deepEqual([me.repo_ids, me.expires_at], [null, null]);
});

test('the org is asked for once when nobody names it', async () => {
  let asked = 0;
  const counting: typeof fetch = (input, init) => {
    if (String(input).endsWith('/whoami')) asked++;
    return fetch(input, init);
  };
  const own = client({ fetch: counting });
  assert.deepEqual(await Promise.all([own.resolveOrg(), own.resolveOrg()]), [org, org]);
  await Promise.all([own.repos.list(), own.org.get(), own.tokens.create()]);
  assert.equal(asked, 1);
  assert.equal(await own.resolveOrg('other'), 'other');
  assert.equal(await client({ org: 'named' }).resolveOrg(), 'named');
});

test('the org summary counts repos', async () => {
  const before = await mesa.org.get();
  await makeRepo('counted');
  const after = await mesa.org.get({ org });
  assert.equal(after.num_repos, before.num_repos + 1);
  assert.equal(after.slug, org);
  await rejects(mesa.org.get({ org: 'nobody' }), NotFoundError);
});

test('the operator makes orgs, and clients of them', async () => {
  const slug = unique('org');
  const made = await mesa.orgs.create({ slug, name: 'Another' });
  assert.deepEqual(
    [made.slug, made.name, made.admin_key.scopes],
    [slug, 'Another', ['read', 'write', 'admin']],
  );
  const listed = [];
  for await (const one of mesa.orgs.list({ limit: 1 })) listed.push(one.slug);
  assert.ok(listed.includes(slug) && listed.includes(org));
  const theirs = client({ apiKey: made.admin_key.key });
  assert.equal((await theirs.repos.create({ name: 'a' })).org, slug);
  await rejects(theirs.orgs.create({ slug: unique('org') }), PermissionDeniedError);
});

test('api keys are made, listed, labelled and revoked', async () => {
  const repo = await makeRepo('keyed');
  const name = unique('key');
  const made = await mesa.apiKeys.create({
    name,
    scopes: ['read'],
    repo_ids: [repo.id],
    expires_in_seconds: 3600,
    tags: { Team: 'x' },
  });
  assert.match(made.key, /^mesa_/);
  assert.deepEqual(
    [made.name, made.scopes, made.repo_ids, made.tags],
    [name, ['read'], [repo.id], { team: 'x' }],
  );
  assert.ok(made.expires_at);
  const filter = { query: name, status: 'active', scope: 'read', repo_id: repo.id } as const;
  const listed = await mesa.apiKeys.list(filter);
  assert.deepEqual(
    listed.api_keys.map((key) => key.id),
    [made.id],
  );
  const tags = await mesa.apiKeys.update({ id: made.id, tags: { team: null, run: '7' } });
  assert.deepEqual(tags, { tags: { run: '7' } });
  const limited = client({ apiKey: made.key });
  assert.equal((await limited.repos.get({ repo: repo.name })).id, repo.id);
  await rejects(limited.repos.create(), PermissionDeniedError);
  assert.deepEqual(await mesa.apiKeys.revoke({ id: made.id }), { success: true });
  const gone = await mesa.apiKeys.list({ query: name, status: 'active' });
  assert.deepEqual(gone.api_keys, []);
  assert.deepEqual((await mesa.apiKeys.create()).scopes, ['read', 'write']);
});

test('signing keys are registered, made, listed and revoked', async () => {
  const { privateKey, publicKey } = generatePrivateKey(org);
  const made = await mesa.signingKeys.create({
    public_key: publicKey,
    name: unique('key'),
    scopes: ['read'],
  });
  assert.deepEqual([made.public_key, made.scopes, made.revoked_at], [publicKey, ['read'], null]);
  assert.equal((await client({ privateKey }).org.get()).slug, org);
  const generated = await mesa.signingKeys.generate({
    scopes: ['read', 'write'],
    tags: { a: 'b' },
  });
  assert.ok(generated.private_key.startsWith(`mesa_private_key_${org}_`));
  assert.deepEqual(generated.tags, { a: 'b' });
  const ids = [];
  for await (const key of mesa.signingKeys.list({ limit: 1, status: 'active' })) ids.push(key.id);
  assert.ok(ids.includes(made.id) && ids.includes(generated.id));
  assert.deepEqual(await mesa.signingKeys.revoke({ id: made.id }), { success: true });
});

test('the audit tells who did what', async () => {
  const repo = await makeRepo('audited');
  const { key_id } = await mesa.whoami();
  const { records } = await mesa.org.audit({ limit: 20 });
  const record = records.find(({ target }) => target === repo.id);
  assert.deepEqual([record?.action, record?.key_id], ['repo.create', key_id]);
});

test('printing a client shows no secret', () => {
  const secret = 'whsec_hush';
  const shown = inspect(client({ webhookSecret: secret }), { depth: 9, showHidden: true });
  assert.ok(!shown.includes(server.adminKey) && !shown.includes(secret), shown);
  assert.ok(!JSON.stringify(mesa).includes(server.adminKey));
  assert.equal(mesa.apiKey, server.adminKey);
  assert.ok(mesa instanceof Mesa);
});
