// Content, bookmarks and changes of a fresh repo.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROOT, call, ok, refused, rejects, repo, sdk } from './support.mjs';

test('a fresh repo is an empty directory', async () => {
  const { name, path } = await repo('fresh');
  const mesa = sdk();
  const root = await mesa.content.get({ repo: name });
  assert.deepEqual([root.type, root.name, root.path, root.child_count, root.entries], ['dir', '', '', 0, []]);
  assert.deepEqual(await mesa.content.get({ repo: name, path: '', change_id: ROOT, depth: 2 }), root);
  assert.deepEqual(await ok('getContent', 200, { path, query: { change_id: 'main', depth: 0 } }), root);
  await rejects(mesa.content.get({ repo: name, path: 'src/a b.txt' }), 404, 'PATH_NOT_FOUND');
  await rejects(mesa.content.get({ repo: name, change_id: 'k'.repeat(32) }), 404, 'CHANGE_NOT_FOUND');
  await refused('getContent', 400, 'BAD_REQUEST', { path, query: { depth: 11 } });
});

test('its default bookmark names the virtual root', async () => {
  const { name, path } = await repo('marked');
  const mesa = sdk();
  const main = { name: 'main', change_id: ROOT, is_default: true };
  assert.deepEqual(await mesa.bookmarks.get({ repo: name, bookmark: 'main' }), main);
  assert.deepEqual(await mesa.bookmarks.list({ repo: name }), { bookmarks: [main], has_more: false, next_cursor: null });
  assert.deepEqual((await ok('listBookmarks', 200, { path, query: { glob: 'm?in' } })).bookmarks, [main]);
  assert.deepEqual((await ok('listBookmarks', 200, { path, query: { glob: 'x*' } })).bookmarks, []);
  assert.deepEqual(await ok('getBookmark', 200, { path: { ...path, bookmark: 'main' } }), main);
  await refused('getBookmark', 404, 'BOOKMARK_NOT_FOUND', { path: { ...path, bookmark: 'feature/x' } });
});

test('the virtual root is a change of every repo', async () => {
  const { name, path } = await repo('rooted');
  const mesa = sdk();
  const root = await mesa.changes.get({ repo: name, change_id: ROOT });
  assert.deepEqual([root.id, root.parents, root.files, root.conflicts], [ROOT, [], [], []]);
  assert.deepEqual([root.message, root.authors, root.is_conflicted], ['', [], false]);
  assert.equal(root.authored_at, '1970-01-01T00:00:00.000+00:00');
  assert.deepEqual(await mesa.changes.list({ repo: name, bookmark: 'main' }), { changes: [], has_more: false, next_cursor: null });
  assert.deepEqual((await ok('listChanges', 200, { path })).changes, []);
  assert.equal((await ok('getChange', 200, { path: { ...path, change_id: ROOT } })).id, ROOT);
  const { response } = await call('getChange', { path: { ...path, change_id: 'k'.repeat(32) } });
  assert.equal(response.status, 404);
});
