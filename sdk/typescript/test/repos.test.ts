// Repos, their tags and their git remotes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BadRequestError,
  ConflictError,
  NotFoundError,
  VIRTUAL_ROOT_CHANGE_ID,
} from '@mesadev/sdk';
import { makeRepo, mesa, org, rejects, unique } from './support/index.js';

test('repos are made, read, changed and deleted', async () => {
  const name = unique('repo');
  const made = await mesa.repos.create({ name, default_bookmark: 'trunk', tags: { env: 'prod' } });
  assert.deepEqual(
    [made.name, made.org, made.default_bookmark, made.head_change_id, made.upstream, made.tags],
    [name, org, 'trunk', VIRTUAL_ROOT_CHANGE_ID, null, { env: 'prod' }],
  );
  assert.deepEqual(await mesa.repos.get({ repo: name }), made);
  assert.deepEqual(await mesa.repos.get({ org, repo: name }), made);
  const renamed = unique('renamed');
  const changed = await mesa.repos.update({
    repo: name,
    name: renamed,
    tags: { env: null, a: 'b' },
  });
  assert.deepEqual([changed.id, changed.name, changed.tags], [made.id, renamed, { a: 'b' }]);
  assert.deepEqual(await mesa.repos.delete({ repo: renamed }), { success: true });
  await rejects(mesa.repos.get({ repo: renamed }), NotFoundError, { code: 'REPO_NOT_FOUND' });
});

test('the server names a repo that nobody named', async () => {
  assert.ok((await mesa.repos.create()).name.length > 0);
});

test('repos are found by their tags', async () => {
  const run = unique('run');
  const [one, two] = [await makeRepo('tagged'), await makeRepo('tagged')];
  const repo_ids = [one.id, two.id];
  assert.deepEqual(
    await mesa.repos.bulkUpdateTags({ repo_ids, action: 'set', key: 'run', value: run }),
    { updated: 2 },
  );
  await mesa.repos.update({ repo: two.name, tags: { team: 'core' } });
  const found = async (tags: Parameters<typeof mesa.repos.list>[0] & object) =>
    (await mesa.repos.list(tags)).repos.map((repo) => repo.id).sort();
  assert.deepEqual(await found({ tags: `run:${run}` }), [...repo_ids].sort());
  assert.deepEqual(await found({ tags: { run, team: 'CORE' } }), [two.id]);
  assert.deepEqual(await found({ tags: { run: [run, 'x'], team: { $exists: false } } }), [one.id]);
  assert.deepEqual(
    await found({ tags: { $and: [{ run }, { $not: { team: { $starts_with: 'co' } } }] } }),
    [one.id],
  );
  await mesa.repos.bulkUpdateTags({ repo_ids: [one.id], action: 'remove', key: 'run' });
  assert.deepEqual(await found({ tags: { run } }), [two.id]);
  const stranger = mesa.repos.bulkUpdateTags({
    repo_ids: ['repo_x'],
    action: 'remove',
    key: 'run',
  });
  await rejects(stranger, NotFoundError);
});

test('upstreams are kept without their secrets', async () => {
  const repo = unique('up');
  const url = 'https://git.example/a.git';
  const made = await mesa.repos.create({
    name: repo,
    upstream: { url, auth: { kind: 'token', token: 'hush' } },
  });
  assert.deepEqual(made.upstream, { url, auth_kind: 'token', latest_sync: null });
  const auth = { kind: 'username_password', username: 'ada', password: 'hush' } as const;
  const changed = await mesa.repos.update({ repo, upstream: { url, auth } });
  assert.equal(changed.upstream?.auth_kind, 'username_password');
  assert.deepEqual(await mesa.repos.listUpstreamSyncs({ repo, limit: 2 }), {
    syncs: [],
    next_cursor: null,
    has_more: false,
  });
  await rejects(mesa.repos.getUpstreamSync({ repo, syncId: 'sync_NONE' }), NotFoundError);
  assert.equal((await mesa.repos.update({ repo, upstream: null })).upstream, null);
  await rejects(mesa.repos.syncUpstream({ repo, direction: 'push' }), ConflictError, {
    code: 'NO_UPSTREAM',
  });
});

test('a sync is refused clearly as long as there is no git transfer', async () => {
  const repo = unique('up');
  await mesa.repos.create({ name: repo, upstream: { url: 'https://git.example/a.git' } });
  const sync = mesa.repos.syncUpstream({
    repo,
    direction: 'pull',
    ref_globs: { branches: 'main' },
  });
  await rejects(sync, BadRequestError, { code: 'NOT_SUPPORTED' });
});
