// Mounts in this process, with the addon built from this repository.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type FsMountOptions, type MesaFileSystem, VIRTUAL_ROOT_CHANGE_ID } from '@mesadev/sdk';
import { makeRepo, mesa, org, server } from './support/index.js';
import { ran } from './support/program.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const addon = process.env['MESA_TEST_ADDON'] ?? '';

before(() => {
  assert.ok(existsSync(addon), 'MESA_TEST_ADDON names no addon: run sdk/typescript/check');
  process.env['MESA_NAPI_PATH'] = addon;
});
after(() => {
  delete process.env['MESA_NAPI_PATH'];
});

const mount = (name: string, options: Partial<FsMountOptions> = {}): Promise<MesaFileSystem> =>
  mesa.fs.mount({ repos: [{ name }], ...options });

/** A mount of a fresh repo, and its directory. */
async function mounted(options: Partial<FsMountOptions> = {}) {
  const { name } = await makeRepo('mount');
  return { name, root: `/${org}/${name}`, fs: await mount(name, options) };
}

/** Waits for a condition, with a deadline. */
async function until(what: string, found: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; !(await found()); ) {
    assert.ok(Date.now() < end, `never: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

interface NodeError extends Error {
  code: string;
  errno: number;
  syscall: string;
  path: string;
  dest?: string;
  serverCode?: string;
}
const failure = async (promise: Promise<unknown>): Promise<NodeError> => {
  try {
    await promise;
  } catch (error) {
    return error as NodeError;
  }
  throw new assert.AssertionError({ message: 'it did not fail' });
};

test('files and directories', async () => {
  const { fs, root, name } = await mounted();
  await using _ = fs;
  await fs.mkdir(`${root}/a/b`, { recursive: true });
  await fs.writeFile(`${root}/a/f.txt`, 'hällo');
  await fs.appendFile(`${root}/a/f.txt`, Buffer.from('!'));
  assert.equal(await fs.readFile(`${root}/a/f.txt`), 'hällo!');
  assert.equal(await fs.readFile(`${root}/a/f.txt`, 'hex'), '68c3a46c6c6f21');
  assert.deepEqual(await fs.readFileBuffer(`${root}/a/f.txt`), Buffer.from('hällo!'));
  assert.deepEqual(await fs.readRange(`${root}/a/f.txt`, 3, 3), Buffer.from('llo'));
  await fs.symlink('f.txt', `${root}/a/link`);
  await fs.link(`${root}/a/f.txt`, `${root}/a/other`);
  assert.deepEqual(await fs.readdir(`${root}/a`), ['b', 'f.txt', 'link', 'other']);
  const kinds = await fs.readdirWithFileTypes(`${root}/a`);
  assert.deepEqual(
    kinds.map((e) => [e.name, e.isDirectory, e.isSymbolicLink]),
    [
      ['b', true, false],
      ['f.txt', false, false],
      ['link', false, true],
      ['other', false, false],
    ],
  );
  assert.equal(await fs.readlink(`${root}/a/link`), 'f.txt');
  assert.equal(await fs.realpath(`${root}/a/link`), `${root}/a/f.txt`);
  await fs.chmod(`${root}/a/f.txt`, 0o755);
  const time = new Date('2026-01-02T03:04:05.678Z');
  await fs.utimes(`${root}/a/f.txt`, time, time);
  const stat = await fs.stat(`${root}/a/link`);
  assert.deepEqual([stat.isFile, stat.size, stat.mode, stat.nlink], [true, 7, 0o100755, 2]);
  assert.equal(stat.mtime.getTime(), time.getTime());
  assert.ok((await fs.lstat(`${root}/a/link`)).isSymbolicLink);
  await fs.cp(`${root}/a`, `${root}/c`, { recursive: true });
  await fs.mv(`${root}/c/f.txt`, `${root}/moved`);
  await fs.rm(`${root}/c`, { recursive: true });
  assert.deepEqual(await fs.readdir(root), ['a', 'moved']);
  assert.equal(await fs.exists(`${root}/c`), false);
  await fs.rm(`${root}/c`, { force: true });
  await fs.setMetadata(`${root}/moved`, { topic: 'x', gone: null });
  assert.deepEqual(await fs.getMetadata(`${root}/moved`), { org, repo: name, topic: 'x' });
  await fs.clearMetadata(`${root}/moved`);
  assert.deepEqual(await fs.getMetadata(`${root}/moved`), { org, repo: name });
  assert.equal(fs.resolvePath('/a/b', '../c'), '/a/c');
  // Class `close`: the file is on the server when the call resolves.
  assert.equal(fs.status().find(({ repo }) => repo === name)?.connection, 'attached');
});

test('errors are as those of Node', async () => {
  const { fs, root } = await mounted();
  await using _ = fs;
  const missing = await failure(fs.readFile(`${root}/none`));
  assert.ok(missing instanceof Error);
  assert.equal(missing.message, `ENOENT: no such file or directory, open '${root}/none'`);
  const { code, errno, syscall, path } = missing;
  assert.deepEqual(
    { code, errno, syscall, path },
    { code: 'ENOENT', errno: -2, syscall: 'open', path: `${root}/none` },
  );
  await fs.mkdir(`${root}/d`);
  await fs.writeFile(`${root}/d/f`, '');
  const renamed = await failure(fs.promises.rename(`${root}/x`, `${root}/y`));
  assert.deepEqual([renamed.code, renamed.dest], ['ENOENT', `${root}/y`]);
  for (const [call, expected] of [
    [() => fs.mkdir(`${root}/d`), 'EEXIST'],
    [() => fs.rm(`${root}/d`), 'ENOTEMPTY'],
    [() => fs.readFile(`${root}/d`), 'EISDIR'],
    [() => fs.readdir(`${root}/d/f`), 'ENOTDIR'],
    [() => fs.writeFile(`/${org}/f`, ''), 'EROFS'],
    [() => fs.readlink(`${root}/d/f`), 'EINVAL'],
    [() => fs.promises.writeFile(`${root}/d/f`, '', { flag: 'wx' }), 'EEXIST'],
  ] as const) {
    assert.equal((await failure(call())).code, expected);
  }
  await fs.close();
  await fs.close();
  assert.equal((await failure(fs.readFile(`${root}/d/f`))).code, 'EBADF');
});

test('a server that cannot be reached is told as such', async () => {
  const { name } = await makeRepo('mount');
  const own = await import('./support/index.js');
  const far = own.client({ org, vcsUrl: 'http://127.0.0.1:1' });
  const fs = await far.fs.mount({ repos: [{ name }], timeoutMs: 1000 });
  const error = await failure(fs.readFile(`/${org}/${name}/f`));
  assert.deepEqual([error.code, error.serverCode], ['EHOSTUNREACH', 'UNREACHABLE']);
  assert.equal((await failure(fs.ready())).code, 'EHOSTUNREACH');
});

test('promises have the shape of node:fs/promises', async () => {
  const { fs, root } = await mounted({ umask: 0o077 });
  await using _ = fs;
  const { promises } = fs;
  assert.equal(await promises.mkdir(`${root}/a/b`, { recursive: true }), `${root}/a`);
  await promises.writeFile(`${root}/a/f`, 'one\ntwo\n', { flush: true });
  await promises.appendFile(`${root}/a/f`, 'three\n');
  assert.equal(await promises.readFile(`${root}/a/f`, 'utf8'), 'one\ntwo\nthree\n');
  assert.equal((await promises.readFile(`${root}/a/f`)).length, 14);
  const stat = await promises.stat(`${root}/a/f`);
  assert.deepEqual([stat.isFile(), stat.size, stat.mode & 0o777], [true, 14, 0o600]);
  assert.ok(stat.mtime instanceof Date && stat.inode > 0n);
  const entries = await promises.readdir(`${root}/a`, { withFileTypes: true });
  assert.deepEqual(
    entries.map((e) => [e.name, e.isDirectory(), e.parentPath]),
    [
      ['b', true, `${root}/a`],
      ['f', false, `${root}/a`],
    ],
  );
  await promises.truncate(`${root}/a/f`, 3);
  await promises.copyFile(`${root}/a/f`, `${root}/a/g`);
  const taken = await failure(promises.copyFile(`${root}/a/f`, `${root}/a/g`, 1));
  assert.equal(taken.code, 'EEXIST');
  await promises.unlink(`${root}/a/g`);
  await promises.rmdir(`${root}/a/b`);
  await promises.access(`${root}/a/f`, 4);
  await promises.utimes(`${root}/a/f`, 1_000_000_000, 1_000_000_000);
  assert.equal((await promises.stat(`${root}/a/f`)).mtimeMs, 1e12);
  await using file = await promises.open(`${root}/a/h`, 'w+');
  assert.deepEqual(await file.write('hello'), { bytesWritten: 5 });
  await file.write(', world');
  const buffer = Buffer.alloc(5);
  assert.equal((await file.read(buffer, 0, 5, 7)).bytesRead, 5);
  assert.equal(buffer.toString(), 'world');
  await file.truncate(5);
  await file.sync();
  assert.equal((await file.stat()).size, 5);
});

test('streams carry large files', async () => {
  const { fs, root, name } = await mounted();
  const piece = Buffer.alloc(1 << 20, 'abcdefghijklmnopqrstuvwxyz');
  const pieces = 40;
  const sum = createHash('sha256');
  function* bytes() {
    for (let n = 0; n < pieces; n += 1) {
      piece.writeUInt32LE(n);
      sum.update(piece);
      yield Buffer.from(piece);
    }
  }
  await pipeline(Readable.from(bytes()), fs.createWriteStream(`${root}/large`, { durable: true }));
  await fs.close();
  const again = await mount(name);
  await using _ = again;
  const back = createHash('sha256');
  await pipeline(again.createReadStream(`${root}/large`), new PassThrough(), back);
  assert.equal(back.digest('hex'), sum.digest('hex'));
  const part = await again.createReadStream(`${root}/large`, { start: 4, end: 9 }).toArray();
  assert.equal(Buffer.concat(part).toString(), 'efghij');
  const none = again.createReadStream(`${root}/none`);
  assert.equal((await failure(none.toArray())).code, 'ENOENT');
});

test('a mount is told of what others change', async () => {
  const { fs, root, name } = await mounted();
  const other = await mount(name);
  await using _ = fs;
  await using __ = other;
  await fs.ready();
  const seen: string[] = [];
  const unsubscribe = fs.subscribe(({ path }) => {
    seen.push(path);
  });
  await other.ready();
  await other.writeFile(`${root}/told`, 'x');
  await until('the handler is called', async () => seen.includes(`${root}/told`));
  assert.equal(await fs.readFile(`${root}/told`), 'x');
  await unsubscribe();
  for await (const change of (async function* () {
    const changes = fs.watch();
    const next = changes.next();
    await other.writeFile(`${root}/second`, 'x');
    yield (await next).value;
    await changes.return();
  })()) {
    assert.ok(change?.path.startsWith(root));
  }
});

test('a shell works on the mount', async () => {
  const { fs, root } = await mounted();
  await using _ = fs;
  const bash = fs.bash({ cwd: root, env: { NAME: 'mesa' } });
  const script = 'mkdir -p d && echo "hello $NAME" > d/f && cat d/f | tr a-z A-Z && ls && pwd';
  const { stdout, stderr, exitCode } = await bash.exec(script);
  assert.deepEqual(
    { stdout, stderr, exitCode },
    {
      stdout: `HELLO MESA\nd\n${root}\n`,
      stderr: '',
      exitCode: 0,
    },
  );
  assert.equal(await fs.readFile(`${root}/d/f`), 'hello mesa\n');
  assert.equal((await bash.exec('cat none')).exitCode, 1);
});

test('changes and bookmarks', async () => {
  const { fs, root, name: repo } = await mounted();
  await using _ = fs;
  await fs.writeFile(`${root}/f`, 'one');
  const first = await fs.change.current({ repo });
  const kept = await fs.change.checkpoint({ repo, message: 'one' });
  assert.deepEqual([kept?.changeId, kept?.message], [first.changeId, 'one']);
  await fs.writeFile(`${root}/f`, 'two');
  const ids = (await fs.change.list({ repo })).map(({ changeId }) => changeId);
  assert.equal(ids[1], first.changeId);
  await fs.bookmark.create({ repo, name: 'side' });
  assert.deepEqual(await fs.bookmark.list({ repo }), ['main', 'side']);
  const root0 = { repo, changeId: VIRTUAL_ROOT_CHANGE_ID, message: 'empty' };
  await fs.change.new(root0);
  assert.deepEqual(await fs.readdir(root), []);
  await fs.change.edit({ repo, bookmark: 'main' });
  assert.equal(await fs.readFile(`${root}/f`), 'two');
});

test('a mount outlives its first token', async () => {
  const { fs, root } = await mounted({ ttl: 3 });
  await using _ = fs;
  const end = Date.now() + 8000;
  for (let n = 0; Date.now() < end; n += 1) {
    await fs.writeFile(`${root}/${n}`, 'x');
    await new Promise((done) => setTimeout(done, 250));
  }
  await fs.flush();
});

test('twenty mounts at once', async () => {
  const { name } = await makeRepo('mount');
  const mounts = await Promise.all(Array.from({ length: 20 }, () => mount(name)));
  await Promise.all(mounts.map((fs, n) => fs.writeFile(`/${org}/${name}/${n}`, `${n}`)));
  for (const fs of mounts) {
    const listed = async () => (await fs.readdir(`/${org}/${name}`)).length === 20;
    await until('all files', listed);
  }
  await Promise.all(mounts.map((fs) => fs.close()));
});

test('what is written is there when the process just ends', async () => {
  const { name } = await makeRepo('mount');
  const program = `
    import { Mesa } from '@mesadev/sdk';
    const mesa = new Mesa({ org: '${org}' });
    const fs = await mesa.fs.mount({ repos: [{ name: '${name}' }], durability: 'fsync' });
    for (let n = 0; n < 50; n += 1) await fs.writeFile('/${org}/${name}/' + n, 'kept');`;
  const env = {
    MESA_API_URL: server.origin,
    MESA_API_KEY: server.adminKey,
    MESA_NAPI_PATH: addon,
  };
  await ran('node', ['--input-type=module', '-e', program], { cwd: join(here, '..'), env });
  const fs = await mount(name);
  await using _ = fs;
  assert.equal((await fs.readdir(`/${org}/${name}`)).length, 50);
});

test('the published client mounts with this addon', async () => {
  const { name } = await makeRepo('mount');
  const clients = join(here, '../../../tests/clients/node');
  const env = {
    MESA_TEST_URL: server.origin,
    MESA_TEST_KEY: server.adminKey,
    MESA_TEST_ORG: org,
    MESA_TEST_REPO: name,
    MESA_NAPI_PATH: addon,
  };
  await ran('node', [join(clients, 'mounted.mjs')], { cwd: clients, env });
  // What it wrote without closing.
  const fs = await mount(name);
  await using _ = fs;
  assert.equal(await fs.readFile(`/${org}/${name}/last.txt`), 'no close');
});
