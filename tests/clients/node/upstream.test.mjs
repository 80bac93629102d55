// Upstreams and syncs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ok, refused, rejects, sdk, unique } from './support.mjs';

test('an upstream is kept, and a sync refused clearly', async () => {
  const mesa = sdk();
  const repo = unique('up');
  const url = 'https://git.example/a.git';
  const made = await mesa.repos.create({ name: repo, upstream: { url, auth: { kind: 'token', token: 'hush' } } });
  assert.deepEqual(made.upstream, { url, auth_kind: 'token', latest_sync: null });
  // Until git transfer exists a sync is refused, never pretended.
  await rejects(mesa.repos.syncUpstream({ repo, direction: 'pull', ref_globs: { branches: 'main' } }), 400, 'NOT_SUPPORTED');
  assert.deepEqual(await mesa.repos.listUpstreamSyncs({ repo, limit: 2 }), { syncs: [], has_more: false, next_cursor: null });
  await rejects(mesa.repos.getUpstreamSync({ repo, syncId: 'sync_NONE' }), 404, 'SYNC_NOT_FOUND');
  assert.equal((await mesa.repos.update({ repo, upstream: null })).upstream, null);
  await ok('listRepoUpstreamSyncs', 200, { path: { repo } });
  await refused('syncUpstream', 409, 'NO_UPSTREAM', { path: { repo }, body: { direction: 'push' } });
  await refused('getRepoUpstreamSync', 404, 'SYNC_NOT_FOUND', { path: { repo, syncId: 'x' } });
});
