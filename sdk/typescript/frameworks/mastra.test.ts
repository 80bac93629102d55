// The filesystem of @mesadev/sdk/mastra in real Mastra workspaces.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DirectoryNotEmptyError,
  DirectoryNotFoundError,
  FileExistsError,
  FileNotFoundError,
  IsDirectoryError,
  PermissionError,
  Workspace,
  type WorkspaceFilesystem,
} from '@mastra/core/workspace';
import { MesaWorkspaceFilesystem } from '@mesadev/sdk/mastra';
import { InMemoryFs } from 'just-bash';

function made(options = {}): { fs: InMemoryFs; files: MesaWorkspaceFilesystem } {
  const fs = new InMemoryFs({ '/acme/notes/a.md': 'one\n', '/acme/notes/src/b.ts': 'two\n' });
  const files = new MesaWorkspaceFilesystem(fs, { root: '/acme/notes', ...options });
  return { fs, files };
}

test('it is a filesystem of a workspace, with the tools of one', async () => {
  const { fs, files } = made();
  const filesystem: WorkspaceFilesystem = files;
  const workspace = new Workspace({ filesystem });
  await workspace.init();
  assert.equal(workspace.filesystem, files);
  await workspace.filesystem?.writeFile('/deep/c.md', 'three');
  assert.equal(await fs.readFile('/acme/notes/deep/c.md'), 'three');
  assert.equal((await workspace.getInfo()).filesystem?.provider, 'mesa');
  await workspace.destroy();
});

test('reading, writing, listing', async () => {
  const { files } = made();
  assert.equal(await files.readFile('/a.md', { encoding: 'utf-8' }), 'one\n');
  assert.deepEqual(await files.readFile('/a.md'), Buffer.from('one\n'));
  await files.appendFile('/a.md', 'more');
  assert.equal(await files.readFile('/a.md', { encoding: 'utf-8' }), 'one\nmore');
  await files.copyFile('/a.md', '/copies/a.md');
  await files.moveFile('/copies/a.md', '/moved.md');
  await files.mkdir('/x/y', { recursive: true });
  assert.deepEqual(await files.readdir('/'), [
    { name: 'a.md', type: 'file', size: 8 },
    { name: 'copies', type: 'directory' },
    { name: 'moved.md', type: 'file', size: 8 },
    { name: 'src', type: 'directory' },
    { name: 'x', type: 'directory' },
  ]);
  const scripts = await files.readdir('/', { recursive: true, extension: 'ts' });
  assert.ok(scripts.some(({ name }) => name === 'src/b.ts'));
  assert.ok(!scripts.some(({ name }) => name.endsWith('.md')));
  const found = await files.stat('/src/b.ts');
  assert.deepEqual(
    [found.name, found.path, found.type, found.size],
    ['b.ts', '/src/b.ts', 'file', 4],
  );
  assert.ok(found.modifiedAt instanceof Date);
  await files.rmdir('/x', { recursive: true });
  await files.deleteFile('/moved.md');
  assert.ok(!(await files.exists('/moved.md')) && !(await files.exists('/x')));
});

test('failures are those of Mastra', async () => {
  const { files } = made();
  await assert.rejects(files.readFile('/none'), FileNotFoundError);
  await assert.rejects(files.stat('/../../other'), FileNotFoundError);
  await assert.rejects(files.readdir('/none'), DirectoryNotFoundError);
  await assert.rejects(files.writeFile('/a.md', '', { overwrite: false }), FileExistsError);
  await assert.rejects(files.copyFile('/a.md', '/src/b.ts', { overwrite: false }), FileExistsError);
  await assert.rejects(files.deleteFile('/src'), IsDirectoryError);
  await assert.rejects(files.rmdir('/src'), DirectoryNotEmptyError);
  await assert.rejects(files.rmdir('/none'), DirectoryNotFoundError);
  await files.rmdir('/none', { force: true });
  await files.deleteFile('/none', { force: true });
});

test('read-only', async () => {
  const { files } = made({ readOnly: true });
  assert.equal(await files.readFile('/a.md', { encoding: 'utf-8' }), 'one\n');
  for (const write of [
    files.writeFile('/a.md', ''),
    files.appendFile('/a.md', ''),
    files.deleteFile('/a.md'),
    files.mkdir('/d'),
    files.rmdir('/src'),
    files.moveFile('/a.md', '/b.md'),
  ]) {
    await assert.rejects(write, PermissionError);
  }
});
