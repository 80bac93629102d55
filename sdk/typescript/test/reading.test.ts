// Content, bookmarks and changes of a fresh repo.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BadRequestError,
  NotAcceptableError,
  NotFoundError,
  VIRTUAL_ROOT_CHANGE_ID,
} from '@mesadev/sdk';
import { makeRepo, mesa, rejects } from './support/index.js';

test('a fresh repo is an empty directory', async () => {
  const { name: repo } = await makeRepo('fresh');
  const root = await mesa.content.get({ repo });
  assert.equal(root.type, 'dir');
  assert.deepEqual([root.path, root.name], ['', '']);
  assert.deepEqual(root.type === 'dir' && root.entries, []);
  const asked = { repo, path: '', depth: 2, change_id: VIRTUAL_ROOT_CHANGE_ID };
  assert.deepEqual(await mesa.content.get(asked), root);
  assert.deepEqual(await mesa.content.get({ repo, change_id: 'main', depth: 0 }), root);
});

test('what is not there, and what has no bytes', async () => {
  const { name: repo } = await makeRepo('fresh');
  await rejects(mesa.content.get({ repo, path: 'src/a b.txt' }), NotFoundError, {
    code: 'PATH_NOT_FOUND',
  });
  await rejects(mesa.content.getBytes({ repo, path: 'a' }), NotFoundError, {
    code: 'PATH_NOT_FOUND',
  });
  await rejects(mesa.content.getBytes({ repo, path: '' }), NotAcceptableError);
  await rejects(mesa.content.stream({ repo, path: '' }), NotAcceptableError);
  await rejects(mesa.content.get({ repo, depth: 11 }), BadRequestError);
  const unknown = mesa.content.get({ repo, change_id: 'k'.repeat(32) });
  await rejects(unknown, NotFoundError, { code: 'CHANGE_NOT_FOUND' });
});

test('the default bookmark names the virtual root', async () => {
  const { name: repo } = await makeRepo('marked');
  const main = { name: 'main', change_id: VIRTUAL_ROOT_CHANGE_ID, is_default: true };
  assert.deepEqual(await mesa.bookmarks.get({ repo, bookmark: 'main' }), main);
  assert.deepEqual((await mesa.bookmarks.list({ repo })).bookmarks, [main]);
  assert.deepEqual((await mesa.bookmarks.list({ repo, glob: 'x*' })).bookmarks, []);
  const missing = mesa.bookmarks.get({ repo, bookmark: 'feature/x' });
  await rejects(missing, NotFoundError, { code: 'BOOKMARK_NOT_FOUND' });
});

test('the virtual root is a change', async () => {
  const { name: repo } = await makeRepo('rooted');
  const root = await mesa.changes.get({ repo, change_id: 'main' });
  assert.deepEqual([root.id, root.files, root.parents], [VIRTUAL_ROOT_CHANGE_ID, [], []]);
  assert.deepEqual((await mesa.changes.list({ repo, bookmark: 'main' })).has_more, false);
});
