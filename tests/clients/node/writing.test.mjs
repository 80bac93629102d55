// Changes, bookmarks, merges and differences.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROOT, ada, base64, call, change, ok, refused, rejects, repo, sdk, text } from './support.mjs';

const put = (path, content, more = {}) => ({ path, content: base64(content), ...more });

test('a change is made, read, amended and compared', async () => {
  const { name, path, change: first } = await repo('written', { 'a.txt': 'one\n', 'd/e/f': 'deep\n' });
  const mesa = sdk();
  const files = [put('a.txt', 'two\n', { encoding: 'base64' }), { path: 'd/e/f', action: 'delete' }, put('run', '#!/bin/sh\n', { mode: '100755' })];
  const made = await mesa.changes.create({ repo: name, base_change_id: first.id, message: 'second', author: ada, files });
  assert.match(made.id, /^[k-z]{32}$/);
  assert.match(made.current_commit_oid, /^[0-9a-f]{40}$/);
  assert.deepEqual([made.message, made.parents, made.is_conflicted], ['second', [first.id], false]);
  assert.deepEqual([made.author.name, made.author.email, made.committer.name], [ada.name, ada.email, ada.name]);
  assert.deepEqual(made.authors, [ada]);
  const read = await mesa.changes.get({ repo: name, change_id: made.id });
  assert.deepEqual(read, { ...made, files: ['a.txt', 'd/e/f', 'run'], conflicts: [] });
  assert.deepEqual(await ok('getChange', 200, { path: { ...path, change_id: made.id } }), read);

  const body = { message: 'said again', committer: { name: 'Bob', email: 'bob@example.com' }, base_commit_oid: made.current_commit_oid };
  const amended = await ok('updateChange', 200, { path: { ...path, change_id: made.id }, body });
  assert.deepEqual([amended.id, amended.message, amended.author.name, amended.committer.name], [made.id, 'said again', ada.name, 'Bob']);
  assert.notEqual(amended.current_commit_oid, made.current_commit_oid);
  await refused('updateChange', 409, 'STALE_COMMIT', { path: { ...path, change_id: made.id }, body });
  const grown = await mesa.changes.patch({ repo: name, change_id: made.id, files: [put('b.txt', 'new\n')] });
  assert.equal(grown.id, made.id);
  assert.deepEqual((await mesa.changes.list({ repo: name })).changes.map((c) => c.id), [first.id]);
  await ok('createBookmark', 201, { path, body: { name: 'top', change_id: made.id } });
  const top = await ok('listChanges', 200, { path, query: { bookmark: 'top', limit: 1 } });
  assert.deepEqual([top.changes.map((c) => c.id), top.has_more], [[made.id], true]);
  const rest = await mesa.changes.list({ repo: name, bookmark: 'top', limit: 1, cursor: top.next_cursor });
  assert.deepEqual([rest.changes.map((c) => c.id), rest.has_more], [[first.id], false]);

  const diff = await mesa.diffs.get({ repo: name, base_change_id: first.id, head_change_id: made.id });
  const seen = diff.entries.map((entry) => [entry.path, entry.status]);
  assert.deepEqual(seen, [['a.txt', 'modified'], ['b.txt', 'added'], ['d/e/f', 'deleted'], ['run', 'added']]);
  assert.deepEqual(diff.entries[0].hunks[0].lines, [
    { kind: 'deleted', text: 'one' },
    { kind: 'added', text: 'two' },
  ]);
  assert.deepEqual([diff.stats.additions, diff.stats.deletions, diff.truncated, diff.conflicted_entries], [3, 2, false, []]);
  const query = { base_change_id: first.id, head_change_id: made.id };
  assert.deepEqual(await ok('getDiff', 200, { path, query }), diff);
  const patch = await ok('getDiff', 200, { path, query, headers: { accept: 'text/plain' } });
  assert.match(patch, /^diff --git a\/a\.txt b\/a\.txt\n/);
});

test('content is files, directories and links, at any change', async () => {
  const files = { 'a.txt': 'one\n', 'd/e/f': 'deep\n' };
  const { name, path, change: first } = await repo('content', files);
  const linked = await change(path, first.id, 'link', [put('link', 'a.txt', { mode: '120000' })]);
  const mesa = sdk();
  const file = await mesa.content.get({ repo: name, path: 'a.txt', change_id: linked.id });
  assert.deepEqual([file.type, file.name, file.path, file.encoding, file.size], ['file', 'a.txt', 'a.txt', 'base64', 4]);
  assert.equal(text(file.content), 'one\n');
  const link = await mesa.content.get({ repo: name, path: 'link', change_id: linked.id });
  assert.equal(link.type, 'symlink');
  await rejects(mesa.content.get({ repo: name, path: 'link', change_id: 'main' }), 404, 'PATH_NOT_FOUND');
  const flat = await ok('getContent', 200, { path, query: { depth: 1 } });
  assert.deepEqual(flat.entries.map((e) => [e.type, e.name]), [['file', 'a.txt'], ['dir', 'd']]);
  const deep = await ok('getContent', 200, { path, query: { depth: 3, change_id: first.id } });
  assert.deepEqual([deep.child_count, JSON.stringify(deep).includes('d/e/f')], [2, true]);
  const { data, response } = await call('getContent', { path, query: { path: 'a.txt' }, headers: { accept: 'application/octet-stream', range: 'bytes=1-2' } });
  assert.deepEqual([response.status, response.headers.get('content-range')], [206, 'bytes 1-2/4']);
  assert.equal(Buffer.from(await data.arrayBuffer()).toString(), 'ne');
});

test('bookmarks are made, moved, merged and deleted', async () => {
  const { name, path, change: first } = await repo('merged', { 'a.txt': 'one\n' });
  const mesa = sdk();
  const topic = await mesa.bookmarks.create({ repo: name, name: 'feature/x', change_id: first.id });
  assert.deepEqual(topic, { name: 'feature/x', change_id: first.id, is_default: false });
  await refused('createBookmark', 409, 'BOOKMARK_EXISTS', { path, body: { name: 'feature/x', change_id: first.id } });
  await refused('createBookmark', 400, 'INVALID_BOOKMARK_NAME', { path, body: { name: 'a..b', change_id: first.id } });
  const second = await change(path, first.id, 'second', [put('b.txt', 'two\n')]);
  const moved = await mesa.bookmarks.move({ repo: name, bookmark: 'feature/x', change_id: second.id });
  assert.deepEqual([moved.change_id, moved.name], [second.id, 'feature/x']);
  const back = { path: { ...path, bookmark: 'feature/x' }, body: { change_id: first.id } };
  await refused('moveBookmark', 409, 'NON_FORWARD_MOVE', back);
  const third = await change(path, first.id, 'third', [put('c.txt', 'three\n')]);
  await ok('moveBookmark', 200, { path: { ...path, bookmark: 'main' }, body: { change_id: third.id } });
  const merged = await mesa.bookmarks.merge({ repo: name, target: 'main', source: 'feature/x', message: 'both', delete_source: true });
  assert.deepEqual(
    [merged.merge_type, merged.is_conflicted, merged.target, merged.source, merged.source_deleted],
    ['merge_commit', false, 'main', 'feature/x', true],
  );
  const made = await ok('getChange', 200, { path: { ...path, change_id: merged.change_id } });
  assert.deepEqual([made.message, made.parents, made.current_commit_oid], ['both', [third.id, second.id], merged.commit_oid]);
  await refused('getBookmark', 404, 'BOOKMARK_NOT_FOUND', { path: { ...path, bookmark: 'feature/x' } });
  await ok('createBookmark', 201, { path, body: { name: 'old', change_id: first.id } });
  const nothing = await ok('mergeBookmark', 200, { path, body: { target: 'main', source: 'old' } });
  assert.deepEqual([nothing.merge_type, nothing.change_id, nothing.commit_oid], ['no_op', merged.change_id, merged.commit_oid]);
  assert.deepEqual(await mesa.bookmarks.delete({ repo: name, bookmark: 'old' }), { success: true });
  await ok('createBookmark', 201, { path, body: { name: 'old', change_id: first.id } });
  assert.deepEqual(await ok('deleteBookmark', 200, { path: { ...path, bookmark: 'old' } }), { success: true });
  await rejects(mesa.bookmarks.delete({ repo: name, bookmark: 'main' }), 409, 'DEFAULT_BOOKMARK');
});

/** A repo where `main` and `side` changed the same lines; answers its path. */
async function divided() {
  const { name, path, change: first } = await repo('divided', { f: 'a\nb\nc\nd\ne\n', g: 'g\n' });
  const side = await change(path, first.id, 'side', [put('f', 'a\nbee\nc\ndee\ne\n'), put('g', 'source\n')]);
  const main = await change(path, first.id, 'main', [put('f', 'a\nB\nc\nD\ne\n'), put('g', 'target\n')]);
  await ok('createBookmark', 201, { path, body: { name: 'side', change_id: side.id } });
  await ok('moveBookmark', 200, { path: { ...path, bookmark: 'main' }, body: { change_id: main.id } });
  return { name, path, main };
}

const shown = async (path, at = 'main') => {
  const read = async (file) => text((await ok('getContent', 200, { path, query: { change_id: at, path: file } })).content);
  return [await read('f'), await read('g')];
};

test('409: a conflict says where, and is resolved by hunk and by file', async () => {
  const { name, path, main } = await divided();
  const body = { target: 'main', source: 'side' };
  const error = await refused('mergeBookmark', 409, 'MERGE_CONFLICT', { path, body });
  assert.deepEqual(error.details.conflict_paths, ['f', 'g']);
  const [f, g] = error.details.conflicts;
  assert.deepEqual([f.path, f.hunks.length, g.path, g.hunks.length], ['f', 2, 'g', 1]);
  assert.deepEqual(['target', 'base', 'source'].map((side) => text(f.hunks[0][side].content)), ['B\n', 'b\n', 'bee\n']);
  assert.equal((await ok('getBookmark', 200, { path: { ...path, bookmark: 'main' } })).change_id, main.id, 'nothing happened');
  await rejects(sdk().bookmarks.merge({ repo: name, ...body }), 409, 'MERGE_CONFLICT');
  const hunks = [
    { hunk_id: f.hunks[0].hunk_id, take: 'source' },
    { hunk_id: f.hunks[1].hunk_id, content: base64('both\n'), encoding: 'base64' },
  ];
  const part = [{ path: 'f', hunks }];
  const left = await refused('mergeBookmark', 409, 'MERGE_CONFLICT', { path, body: { ...body, resolutions: part } });
  assert.deepEqual(left.details.conflict_paths, ['g']);
  const unknown = [{ path: 'f', hunks: [{ hunk_id: 'none', take: 'source' }] }];
  await refused('mergeBookmark', 400, 'UNKNOWN_HUNK', { path, body: { ...body, resolutions: unknown } });
  const resolutions = [...part, { path: 'g', take: 'target' }];
  const merged = await sdk().bookmarks.merge({ repo: name, ...body, resolutions });
  assert.deepEqual([merged.merge_type, merged.is_conflicted], ['merge_commit', false]);
  assert.deepEqual(await shown(path), ['a\nbee\nc\nboth\ne\n', 'target\n']);
});

test('a conflict can be kept, is seen, and is resolved in the change', async () => {
  const { name, path } = await divided();
  const mesa = sdk();
  const merged = await mesa.bookmarks.merge({ repo: name, target: 'main', source: 'side', allow_conflicted: true });
  assert.equal(merged.is_conflicted, true);
  const conflicted = await mesa.changes.get({ repo: name, change_id: merged.change_id });
  assert.deepEqual([conflicted.is_conflicted, conflicted.conflicts], [true, ['f', 'g']]);
  assert.match((await shown(path))[0], /<<<<<<< conflict 1 of 2/);
  const query = { base_change_id: ROOT, head_change_id: merged.change_id };
  const diff = await mesa.diffs.get({ repo: name, ...query, conflicts: 'only' });
  assert.deepEqual([diff.entries, diff.conflicted_entries.map((e) => e.path)], [[], ['f', 'g']]);
  assert.deepEqual((await ok('getDiff', 200, { path, query: { ...query, conflicts: 'exclude' } })).conflicted_entries, []);
  await rejects(mesa.changes.patch({ repo: name, change_id: merged.change_id, files: [put('f', 'x')] }), 409, 'MERGE_CONFLICT');
  const whole = [{ path: 'g', content: base64('mine\n'), encoding: 'base64' }];
  const one = await mesa.changes.patch({ repo: name, change_id: merged.change_id, resolutions: whole });
  // The merge is published: what is resolved is a change on top of it.
  assert.deepEqual([one.is_conflicted, one.parents], [true, [merged.change_id]]);
  const hunks = diff.conflicted_entries[0].hunks.map(({ hunk_id }) => ({ hunk_id, take: 'source' }));
  const missing = { resolutions: [{ path: 'f', hunks: hunks.slice(1) }] };
  await refused('updateChange', 400, 'HUNKS_MISSING', { path: { ...path, change_id: one.id }, body: missing });
  const done = await ok('updateChange', 200, { path: { ...path, change_id: one.id }, body: { resolutions: [{ path: 'f', hunks }] } });
  assert.equal(done.is_conflicted, false);
  assert.deepEqual(await shown(path, one.id), ['a\nbee\nc\ndee\ne\n', 'mine\n']);
});

test('a write that cannot be is refused whole', async () => {
  const { path, change: first } = await repo('refusals', { 'a.txt': 'one\n' });
  for (const [code, ...files] of [
    ['PATH_NOT_FOUND', { path: 'none', action: 'delete' }],
    ['PARENT_NOT_DIRECTORY', put('a.txt/b', '')],
    ['INVALID_PATH', put('../b', '')],
    ['PATH_NOT_FOUND', put('fine', ''), { path: 'none', action: 'delete' }],
  ])
    await refused('createChange', 400, code, { path, body: { base_change_id: first.id, message: 'm', author: ada, files } });
  assert.deepEqual((await ok('listChanges', 200, { path })).changes.map((c) => c.id), [first.id]);
});
