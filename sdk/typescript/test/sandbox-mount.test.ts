// The helper on this machine: a real server, a real mount.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import {
  exec,
  mountInSandbox,
  type SandboxCommand,
  type SandboxMount,
  SandboxMountError,
  type SandboxOutput,
} from '@mesadev/sdk/sandbox';
import { client, makeRepo, mesa, org, rejects } from './support/index.js';
import { eventually, program } from './support/server.js';

/** A machine of its own as far as `mesa` is concerned: another home. */
class Machine {
  readonly home = mkdtempSync(join(tmpdir(), 'mesa-sdk-sandbox.'));
  /** Every key that was handed over. */
  keys: string[] = [];

  constructor() {
    after(async () => {
      await this.run({ argv: ['mesa', 'unmount', '--force'] });
      rmSync(this.home, { recursive: true });
    });
  }

  run = (command: Partial<SandboxCommand>): Promise<SandboxOutput> => {
    const { argv: [file = '', ...args] = [], env = {}, input = '' } = command;
    const given = `${env['MESA_ORGS'] ?? ''}\n${input}`;
    this.keys.push(...[...given.matchAll(/my-org:(mesa_\S+)/g)].map((match) => match[1] ?? ''));
    const PATH = `${dirname(program)}:${process.env['PATH']}`;
    const child = spawn(file, args, { env: { PATH, HOME: this.home, ...env } });
    child.stdin.on('error', () => {}).end(input); // Most read none.
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (piece) => {
        output[name] += piece;
      });
    }
    return new Promise((done, fail) => {
      child.on('error', fail);
      child.on('close', (code) => done({ exitCode: code ?? -1, ...output }));
    });
  };
}

const local = (machine: Machine, secrets: 'env' | 'stdin' = 'env') =>
  exec(machine.run, { secrets });

/** Command lines and environments of all processes. */
function processes(): string {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const read = (path: string) => {
    try {
      return readFileSync(path, 'latin1');
    } catch {
      return ''; // It ended.
    }
  };
  return pids.flatMap((pid) => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`].map(read)).join();
}

const isMounted = (path: string) => readFileSync('/proc/mounts', 'utf8').includes(` ${path} `);
const above = (work: SandboxMount) => dirname(dirname(work.path));
const keyOf = async (id: string) =>
  (await mesa.apiKeys.list({ status: 'all' })).api_keys.find((key) => key.id === id);

for (const secrets of ['env', 'stdin'] as const) {
  test(`a repo is mounted, worked in and left; the key comes by ${secrets}`, async () => {
    const machine = new Machine();
    const repo = await makeRepo('sandbox');
    const work = await mountInSandbox(mesa, local(machine, secrets), { repo, install: 'none' });
    assert.equal(work.path, join(machine.home, '.local/share/mesa/mnt', org, repo.name));
    assert.deepEqual((await keyOf(work.keyId))?.repo_ids, [repo.id]);
    const [key] = machine.keys;
    assert.ok(key && !processes().includes(key));
    await work.run('mkdir notes && echo written >notes/a');
    await work.sync();
    const path = 'notes/a';
    assert.equal(await mesa.content.getText({ repo: repo.name, path }), 'written\n');
    await work.run('echo last >notes/b');
    await work.close();
    assert.ok(!isMounted(above(work)));
    assert.equal(await mesa.content.getText({ repo: repo.name, path: 'notes/b' }), 'last\n');
    assert.ok((await keyOf(work.keyId))?.revoked_at);
    assert.equal(
      (
        await client({ apiKey: key })
          .whoami()
          .catch((e) => e)
      ).code,
      'CREDENTIAL_REVOKED',
    );
  });
}

test('a renewal goes unnoticed by a program with an open file', async () => {
  const machine = new Machine();
  const repo = await makeRepo('sandbox');
  const work = await mountInSandbox(mesa, local(machine), { repo: repo.name, install: 'none' });
  const first = work.keyId;
  const file = await open(join(work.path, 'log'), 'w');
  await file.write('one\n');
  await file.sync();
  await work.renew();
  assert.ok((await keyOf(first))?.revoked_at);
  await file.write('two\n');
  await file.sync();
  await file.close();
  assert.equal(await mesa.content.getText({ repo: repo.name, path: 'log' }), 'one\ntwo\n');
  await work.close();
  assert.equal(new Set(machine.keys).size, 2);
  assert.ok((await keyOf(work.keyId))?.revoked_at);
});

test('a bookmark, a change of its own, a mount point', async () => {
  const machine = new Machine();
  const { name: repo } = await makeRepo('sandbox');
  const author = { name: 'Ada', email: 'ada@example.com' };
  const files = [{ path: 'a', content: 'draft\n', encoding: 'utf-8' as const }];
  const made = { repo, base_change_id: 'main', message: 'm', author, files };
  const { id } = await mesa.changes.create(made);
  await mesa.bookmarks.create({ repo, name: 'draft', change_id: id });
  const how = { install: 'none' as const, mountPoint: '~/a place' };
  const isolated = { repo, bookmark: 'draft', isolate: true, ...how };
  const work = await mountInSandbox(mesa, local(machine), isolated);
  assert.equal(work.path, join(machine.home, 'a place', org, repo));
  assert.equal((await work.run('cat a && echo mine >a')).stdout, 'draft\n');
  // It may not be joined by somebody else who wants to be alone.
  await rejects(mountInSandbox(mesa, local(machine), isolated), SandboxMountError, { exitCode: 6 });
  await work.run('echo still >b');
  await work.close();
  const draft = { repo, change_id: 'draft', path: 'a' };
  assert.equal(await mesa.content.getText(draft), 'draft\n');
  const read = { repo, scopes: ['read' as const], bookmark: 'draft', ...how };
  const reader = await mountInSandbox(mesa, local(machine), read);
  assert.equal(await readFile(join(reader.path, 'a'), 'utf8'), 'draft\n');
  assert.match((await reader.run('touch b || :')).stderr, /Read-only file system/);
  await reader.close();
});

test('a mount that fails leaves nothing and says why', async () => {
  const machine = new Machine();
  const { name: repo } = await makeRepo('sandbox');
  const serverUrl = 'http://127.0.0.1:9';
  const options = { repo, install: 'none' as const, serverUrl, timeoutMs: 10_000 };
  const failing = mountInSandbox(mesa, local(machine), options);
  const error = await rejects(failing, SandboxMountError, { exitCode: 7 });
  assert.match(error.message, /cannot be reached/);
  const [key] = machine.keys;
  assert.ok(key && !`${error.message}${error.output}`.includes(key));
  assert.equal(
    (
      await client({ apiKey: key })
        .whoami()
        .catch((e) => e)
    ).code,
    'CREDENTIAL_REVOKED',
  );
  assert.ok(!isMounted(join(machine.home, '.local/share/mesa/mnt')));
});

test('work that is in use at the end is let go of, and is on the server', async () => {
  const machine = new Machine();
  const { name: repo } = await makeRepo('sandbox');
  const work = await mountInSandbox(mesa, local(machine), { repo, install: 'none' });
  const file = await open(join(work.path, 'open'), 'w');
  await file.write('there');
  await file.sync();
  await work.close();
  await file.close().catch(() => {});
  assert.ok(!isMounted(above(work)));
  await eventually('the mount point is empty', async () => statSync(above(work)).isDirectory());
  assert.equal(await mesa.content.getText({ repo, path: 'open' }), 'there');
});
