// Repos and their labels.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROOT, ok, org, refused, rejects, repo, sdk, unique } from './support.mjs';

test('a repo is made, read, changed and deleted', async () => {
  const mesa = sdk();
  const name = unique('whole');
  const made = await mesa.repos.create({ name, tags: { Env: 'prod' } });
  assert.deepEqual(
    [made.org, made.name, made.default_bookmark, made.head_change_id, made.upstream, made.tags],
    [org, name, 'main', ROOT, null, { env: 'prod' }],
  );
  assert.deepEqual(await mesa.repos.get({ repo: name }), made);
  assert.deepEqual(await ok('getRepo', 200, { path: { repo: name } }), made);
  const renamed = await mesa.repos.update({ repo: name, name: `${name}.2`, tags: { env: null, x: 'y' } });
  assert.deepEqual([renamed.id, renamed.name, renamed.tags], [made.id, `${name}.2`, { x: 'y' }]);
  assert.equal((await ok('updateRepo', 200, { path: { repo: renamed.name }, body: {} })).name, renamed.name);
  await rejects(mesa.repos.get({ repo: name }), 404, 'REPO_NOT_FOUND');
  assert.deepEqual(await mesa.repos.delete({ repo: renamed.name }), { success: true });
  await refused('deleteRepo', 404, 'REPO_NOT_FOUND', { path: { repo: renamed.name } });
  const again = await ok('createRepo', 201, { body: { name } });
  assert.deepEqual(await ok('deleteRepo', 200, { path: { repo: again.name } }), { success: true });
});

test('a repo made without a name gets one', async () => {
  const made = await sdk({ org }).repos.create({});
  assert.match(made.name, /^[A-Za-z0-9._-]{1,100}$/);
});

test('names arrive percent-encoded', async () => {
  await refused('getRepo', 404, 'REPO_NOT_FOUND', { path: { repo: 'a/b c' } });
});

test('lists filter by label and page', async () => {
  const team = unique('team');
  for (let n = 0; n < 3; n++) await ok('createRepo', 201, { body: { name: `${team}-${n}`, tags: { team, n: String(n) } } });
  const mesa = sdk();
  const all = await mesa.repos.list({ tags: `team:${team}` });
  assert.deepEqual([all.repos.length, all.has_more, all.next_cursor], [3, false, null]);
  const one = await ok('listRepos', 200, { query: { tags: `team:${team.toUpperCase()},n:1` } });
  assert.deepEqual(one.repos.map((r) => r.name), [`${team}-1`]);
  const filter = JSON.stringify({ team, $not: { n: ['0', '2'] } });
  assert.equal((await ok('listRepos', 200, { query: { tags: filter } })).repos.length, 1);
  const first = await mesa.repos.list({ tags: `team:${team}`, limit: 2 });
  const rest = await mesa.repos.list({ tags: `team:${team}`, limit: 2, cursor: first.next_cursor });
  assert.deepEqual([...first.repos, ...rest.repos].map((r) => r.name), [0, 1, 2].map((n) => `${team}-${n}`));
});

test('one label is set on many repos or on none', async () => {
  const [a, b] = [await repo('bulk-a'), await repo('bulk-b')];
  const body = { repo_ids: [a.id, b.id], action: 'set', key: 'Batch', value: '7' };
  assert.deepEqual(await ok('bulkUpdateRepoTags', 200, { body }), { updated: 2 });
  assert.deepEqual(await ok('bulkUpdateRepoTags', 200, { body }), { updated: 2 });
  assert.deepEqual((await ok('getRepo', 200, { path: a.path })).tags, { batch: '7' });
  await refused('bulkUpdateRepoTags', 404, 'REPO_NOT_FOUND', { body: { ...body, repo_ids: [a.id, `${a.id}x`], value: '8' } });
  assert.deepEqual((await ok('getRepo', 200, { path: a.path })).tags, { batch: '7' });
  const removed = await ok('bulkUpdateRepoTags', 200, { body: { repo_ids: [a.id], action: 'remove', key: 'batch' } });
  assert.deepEqual(removed, { updated: 1 });
});
