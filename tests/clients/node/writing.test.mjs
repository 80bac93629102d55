// Changes, bookmarks, merges and differences.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { base64, change, ok, refused, repo, sdk, text } from './support.mjs';

test('a change is written, amended and compared', async () => {
  const { name, path, change: first } = await repo('written', { 'a.txt': 'one\n' });
  const second = await change(path, first.id, 'second', [{ path: 'a.txt', content: base64('two\n') }]);
  const amended = await ok('updateChange', 200, { path: { ...path, change_id: second.id }, body: { message: 'said again' } });
  assert.deepEqual([amended.id, amended.message, amended.is_conflicted], [second.id, 'said again', false]);
  const diff = await ok('getDiff', 200, { path, query: { base_change_id: first.id, head_change_id: second.id } });
  assert.deepEqual(diff.entries.map((entry) => entry.path), ['a.txt']);
  const file = await sdk().content.get({ repo: name, path: 'a.txt', change_id: second.id });
  assert.equal(text(file.content), 'two\n');
});

test('bookmarks are made, moved, merged and deleted', async () => {
  const { path, change: first } = await repo('merged', { 'a.txt': 'one\n' });
  const topic = await ok('createBookmark', 201, { path, body: { name: 'feature/x', change_id: first.id } });
  assert.equal(topic.change_id, first.id);
  const second = await change(path, first.id, 'second', [{ path: 'b.txt', content: base64('two\n') }]);
  const moved = await ok('moveBookmark', 200, { path: { ...path, bookmark: 'feature/x' }, body: { change_id: second.id } });
  assert.equal(moved.change_id, second.id);
  const back = { path: { ...path, bookmark: 'feature/x' }, body: { change_id: first.id } };
  await refused('moveBookmark', 409, 'NON_FORWARD_MOVE', back);
  const third = await change(path, first.id, 'third', [{ path: 'c.txt', content: base64('three\n') }]);
  await ok('moveBookmark', 200, { path: { ...path, bookmark: 'main' }, body: { change_id: third.id } });
  const merged = await ok('mergeBookmark', 200, { path, body: { target: 'main', source: 'feature/x' } });
  assert.equal(merged.merge_type, 'merge_commit');
  await ok('deleteBookmark', 200, { path: { ...path, bookmark: 'feature/x' } });
  await refused('getBookmark', 404, 'BOOKMARK_NOT_FOUND', { path: { ...path, bookmark: 'feature/x' } });
});
