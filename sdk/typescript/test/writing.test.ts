// Changes with files, bookmarks that move, merges and differences.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  type Change,
  ConflictError,
  type FileOp,
  MergeConflictError,
  NotFoundError,
  RangeNotSatisfiableError,
  VIRTUAL_ROOT_CHANGE_ID,
} from '@mesadev/sdk';
import { ada, makeRepo, mesa, rejects, unlessServed } from './support/index.js';

const files = (contents: Record<string, string>): FileOp[] =>
  Object.entries(contents).map(([path, content]) => ({ path, content, encoding: 'utf-8' }));

/** A repo whose default bookmark is at a change with these files. */
async function repoWith(stem: string, contents: Record<string, string>) {
  const { name: repo } = await makeRepo(stem);
  const first = await write(repo, VIRTUAL_ROOT_CHANGE_ID, contents);
  await mesa.bookmarks.move({ repo, bookmark: 'main', change_id: first.id });
  return { repo, first };
}

const write = (repo: string, base: string, contents: Record<string, string>): Promise<Change> =>
  mesa.changes.create({
    repo,
    base_change_id: base,
    message: `writes ${Object.keys(contents)}`,
    author: ada,
    files: files(contents),
  });

const skip = unlessServed('POST', '/{org}/{repo}/changes');

suite('with file operations', { skip }, () => {
  test('a change holds its files', async () => {
    const { repo, first } = await repoWith('files', { 'a.txt': 'one\n', 'src/b.txt': 'two\n' });
    assert.deepEqual([first.message, first.author.name], ['writes a.txt,src/b.txt', ada.name]);
    const details = await mesa.changes.get({ repo, change_id: first.id });
    assert.deepEqual(details.files, ['a.txt', 'src/b.txt']);
    const { changes } = await mesa.changes.list({ repo });
    assert.equal(changes[0]?.id, first.id);
    const file = await mesa.content.get({ repo, path: 'a.txt' });
    assert.ok(file.type === 'file');
    assert.equal(Buffer.from(file.content, 'base64').toString(), 'one\n');
    const root = await mesa.content.get({ repo, depth: 2 });
    assert.ok(root.type === 'dir');
    assert.deepEqual(root.entries.map((e) => e.path).sort(), ['a.txt', 'src', 'src/b.txt']);
  });

  test('bytes come whole, in part and in pieces', async () => {
    const bytes = new Uint8Array(300_000).map((_, n) => n % 251);
    const { name: repo } = await makeRepo('bytes');
    const made = await mesa.changes.create({
      repo,
      base_change_id: VIRTUAL_ROOT_CHANGE_ID,
      message: 'bytes',
      author: ada,
      files: [{ path: 'b', content: bytes }],
    });
    const at = { repo, path: 'b', change_id: made.id };
    assert.deepEqual(await mesa.content.getBytes(at), bytes);
    const part = { ...at, range: { start: 5, end: 9 } };
    assert.deepEqual(await mesa.content.getBytes(part), bytes.slice(5, 10));
    const tail = { ...at, range: { start: 299_990 } };
    assert.deepEqual(await mesa.content.getBytes(tail), bytes.slice(-10));
    await rejects(
      mesa.content.getBytes({ ...at, range: { start: 400_000 } }),
      RangeNotSatisfiableError,
    );
    const pieces: Uint8Array[] = [];
    for await (const piece of await mesa.content.stream(at)) pieces.push(piece);
    assert.deepEqual(new Uint8Array(Buffer.concat(pieces)), bytes);
  });

  test('files are changed, moved and deleted; a stale writer is refused', async () => {
    const { repo, first } = await repoWith('amend', { a: '1', b: '2', c: '3' });
    const next = await mesa.changes.create({
      repo,
      base_change_id: first.id,
      message: 'next',
      author: ada,
      files: [
        { path: 'a', content: Buffer.from('4').toString('base64') },
        { path: 'b', action: 'delete' },
      ],
    });
    const seen = next.current_commit_oid;
    const amended = await mesa.changes.patch({
      repo,
      change_id: next.id,
      base_commit_oid: seen,
      message: 'amended',
      files: files({ d: '5' }),
    });
    assert.deepEqual([amended.id, amended.message], [next.id, 'amended']);
    assert.notEqual(amended.current_commit_oid, seen);
    assert.equal(await mesa.content.getText({ repo, change_id: next.id, path: 'd' }), '5');
    assert.equal(await mesa.content.getText({ repo, change_id: next.id, path: 'a' }), '4');
    await rejects(mesa.content.getText({ repo, change_id: next.id, path: 'b' }), NotFoundError);
    const stale = { repo, change_id: next.id, base_commit_oid: seen, files: files({ e: '6' }) };
    await rejects(mesa.changes.update(stale), ConflictError);
  });
});

suite('bookmarks', { skip: skip || unlessServed('POST', '/{org}/{repo}/bookmarks') }, () => {
  test('they are made, moved and deleted', async () => {
    const { repo, first } = await repoWith('moves', { a: '1' });
    const second = await write(repo, first.id, { a: '2' });
    const made = await mesa.bookmarks.create({ repo, name: 'feature/x', change_id: first.id });
    assert.deepEqual(made, { name: 'feature/x', change_id: first.id, is_default: false });
    const at = { repo, bookmark: 'feature/x' };
    const moved = await mesa.bookmarks.move({ ...at, change_id: second.id });
    assert.deepEqual([moved.change_id, moved.from_change_id], [second.id, first.id]);
    const back = { ...at, change_id: first.id };
    await rejects(mesa.bookmarks.move(back), ConflictError, { code: 'NON_FORWARD_MOVE' });
    assert.equal(
      (await mesa.bookmarks.move({ ...back, allow_backwards: true })).change_id,
      first.id,
    );
    const names = [];
    for await (const one of mesa.bookmarks.list({ repo, limit: 1 })) names.push(one.name);
    assert.deepEqual(names, ['feature/x', 'main']);
    assert.deepEqual(await mesa.bookmarks.delete(at), { success: true });
    await rejects(mesa.bookmarks.get(at), NotFoundError);
  });
});

suite('merges', { skip: skip || unlessServed('POST', '/{org}/{repo}/bookmarks/merge') }, () => {
  /** A repo where two bookmarks changed the same line, and other ones. */
  async function apart(stem: string) {
    const { repo, first } = await repoWith(stem, { both: 'base\n', mine: '1\n', theirs: '1\n' });
    const target = await write(repo, first.id, { both: 'target\n', mine: '2\n' });
    const source = await write(repo, first.id, { both: 'source\n', theirs: '2\n' });
    await mesa.bookmarks.move({ repo, bookmark: 'main', change_id: target.id });
    await mesa.bookmarks.create({ repo, name: 'side', change_id: source.id });
    return { repo, both: { repo, target: 'main', source: 'side' } };
  }

  test('one bookmark is merged into another', async () => {
    const { repo, first } = await repoWith('merge', { a: '1\n' });
    const side = await write(repo, first.id, { b: '2\n' });
    await mesa.bookmarks.create({ repo, name: 'side', change_id: side.id });
    const input = { repo, target: 'main', source: 'side', delete_source: true, message: 'joined' };
    const merged = await mesa.bookmarks.merge(input);
    assert.deepEqual(
      [merged.merge_type, merged.is_conflicted, merged.source_deleted],
      ['merge_commit', false, true],
    );
    assert.equal(await mesa.content.getText({ repo, path: 'b' }), '2\n');
  });

  test('a conflict names its hunks, and a resolution by hunks ends it', async () => {
    const { repo, both } = await apart('conflict');
    const error = await rejects(mesa.bookmarks.merge(both), MergeConflictError, { status: 409 });
    assert.ok(error instanceof ConflictError);
    assert.deepEqual(error.conflictPaths, ['both']);
    const [conflict] = error.conflicts;
    assert.equal(conflict?.path, 'both');
    const hunks = conflict.hunks.map(({ hunk_id }) => ({
      hunk_id,
      content: 'agreed\n',
      encoding: 'utf-8' as const,
    }));
    const merged = await mesa.bookmarks.merge({ ...both, resolutions: [{ path: 'both', hunks }] });
    assert.equal(merged.is_conflicted, false);
    assert.equal(await mesa.content.getText({ repo, path: 'both' }), 'agreed\n');
    assert.equal(await mesa.content.getText({ repo, path: 'theirs' }), '2\n');
    assert.equal((await mesa.bookmarks.merge(both)).merge_type, 'no_op');
  });

  test('a conflict may be kept and resolved later', async () => {
    const { repo, both } = await apart('kept');
    const merged = await mesa.bookmarks.merge({ ...both, allow_conflicted: true });
    assert.equal(merged.is_conflicted, true);
    const { conflicts } = await mesa.changes.get({ repo, change_id: merged.change_id });
    assert.deepEqual(conflicts, ['both']);
    const at = { repo, change_id: merged.change_id };
    const resolved = await mesa.changes.update({
      ...at,
      resolutions: [{ path: 'both', take: 'source' }],
    });
    assert.equal(resolved.is_conflicted, false);
    const after = { repo, change_id: resolved.id, path: 'both' };
    assert.equal(await mesa.content.getText(after), 'source\n');
  });
});

suite('differences', { skip: skip || unlessServed('GET', '/{org}/{repo}/diff') }, () => {
  test('two changes are compared', async () => {
    const { repo, first } = await repoWith('diff', { a: 'one\n', b: 'two\n' });
    const second = await write(repo, first.id, { a: 'three\n', c: 'four\n' });
    const compared = { repo, base_change_id: first.id, head_change_id: second.id };
    const diff = await mesa.diffs.get(compared);
    assert.deepEqual(
      diff.entries.map((e) => [e.path, e.status]),
      [
        ['a', 'modified'],
        ['c', 'added'],
      ],
    );
    assert.deepEqual([diff.stats.additions, diff.stats.deletions], [2, 1]);
    const lines = diff.entries[0]?.hunks?.[0]?.lines.map((line) => [line.kind, line.text]);
    assert.deepEqual(lines, [
      ['deleted', 'one'],
      ['added', 'three'],
    ]);
    const patch = await mesa.diffs.getPatch({ ...compared, conflicts: 'exclude' });
    assert.match(patch, /^-one$/m);
    assert.match(patch, /^\+three$/m);
  });
});

suite('closing', {
  skip: skip || unlessServed('POST', '/{org}/{repo}/changes/{change_id}/new'),
}, () => {
  test('a closed change takes no writes', async () => {
    const { repo, first } = await repoWith('closed', { a: '1' });
    const next = await write(repo, first.id, { a: '2' });
    const at = { repo, change_id: next.id };
    const { closed } = await mesa.changes.close({ ...at, message: 'done' });
    assert.deepEqual([closed.id, closed.message], [next.id, 'done']);
    const later = await mesa.changes.update({ ...at, files: files({ a: '3' }) });
    assert.deepEqual(later.parents, [next.id]);
    assert.equal(await mesa.content.getText({ ...at, path: 'a' }), '2');
  });
});

suite('abandoning', {
  skip: skip || unlessServed('POST', '/{org}/{repo}/changes/{change_id}/abandon'),
}, () => {
  test('an abandoned change is hidden, and comes back', async () => {
    const { repo, first } = await repoWith('abandoned', { a: '1' });
    const next = await write(repo, first.id, { b: '2' });
    const at = { repo, change_id: next.id };
    const { change, parent_change_id } = await mesa.changes.abandon(at);
    assert.deepEqual([change.state, parent_change_id], ['abandoned', first.id]);
    const given = await mesa.changes.list({ repo, state: 'abandoned' });
    assert.deepEqual(
      given.changes.map(({ id }) => id),
      [next.id],
    );
    const back = await mesa.changes.abandon({ ...at, undo: true });
    assert.equal(back.change.state, 'closed');
    assert.equal(await mesa.content.getText({ ...at, path: 'b' }), '2');
  });
});

suite('operations', {
  skip: skip || unlessServed('POST', '/{org}/{repo}/changes/{change_id}/undo'),
}, () => {
  test('what was done is listed, undone and brought back', async () => {
    const { repo, first } = await repoWith('undone', { kept: '1' });
    const { id: change_id } = await write(repo, first.id, { a: '1' });
    const at = { repo, change_id };
    await mesa.changes.update({ ...at, files: files({ a: '2', b: '3' }) });
    const text = (path: string) => mesa.content.getText({ ...at, path });
    const { actions } = await mesa.operations.list({ ...at, path: 'b' });
    const [action] = actions;
    assert.ok(action && actions.length === 1);
    assert.deepEqual([action.origin, action.change_id], ['rest', change_id]);
    const details = await mesa.operations.get({ ...at, operation: action.last_operation });
    assert.equal(details.action.id, action.id);
    assert.equal(details.operations.length, action.operation_count);

    const undone = await mesa.operations.undo(at);
    assert.deepEqual(
      [undone.outcome, undone.undone, undone.is_conflicted],
      ['applied', action.id, false],
    );
    assert.equal(await text('a'), '1');
    await rejects(text('b'), NotFoundError);

    const restored = await mesa.operations.restore({
      ...at,
      paths: ['b'],
      at: { operation: action.last_operation },
    });
    assert.equal(restored.outcome, 'applied');
    assert.equal(await text('b'), '3');
    assert.equal(await text('a'), '1');
    const unknown = mesa.operations.get({ ...at, operation: '999999999' });
    await rejects(unknown, NotFoundError, { code: 'OPERATION_NOT_FOUND' });
  });
});
