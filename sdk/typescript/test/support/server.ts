// A real server for a test process: started at the first use, ended with the process.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));

/** The program under test. */
export const program = resolve(
  process.env['MESA_TEST_BIN'] ?? join(here, '../../../../target/debug/mesa'),
);

export interface Server {
  /** Without `/v1`. */
  origin: string;
  /** The bootstrap key, which is the operator's. */
  adminKey: string;
  dataDir: string;
  /** SIGTERM, and waits for its end. */
  end: () => Promise<void>;
  /** Starts it again at the same address. */
  start: () => Promise<void>;
}

/** Starts a server in a directory of its own. It ends with the tests at the latest. */
export async function startServer(...args: string[]): Promise<Server> {
  assert.ok(existsSync(program), `${program} is missing: build it, or set MESA_TEST_BIN`);
  const home = mkdtempSync(join(tmpdir(), 'mesa-sdk-ts.'));
  const dataDir = join(home, 'data');
  const origin = `http://127.0.0.1:${await freePort()}`;
  const log = openSync(join(home, 'log'), 'a');
  const listen = ['--data-dir', dataDir, '--listen', origin.slice('http://'.length)];
  let child: ChildProcess | undefined;
  const start = async () => {
    // It ends with this process also when that is killed.
    const serve = ['--pdeathsig', 'KILL', program, 'serve', ...listen, ...args];
    const started = spawn('setpriv', serve, {
      env: { PATH: process.env['PATH'], HOME: home, MESA_NO_CONFIG_FILE: '1' },
      stdio: ['ignore', log, log],
    });
    child = started;
    const ready = () =>
      fetch(`${origin}/readyz`).then(
        (answer) => answer.ok,
        () => false,
      );
    await eventually('the server is ready', async () => {
      assert.equal(started.exitCode, null, readFileSync(join(home, 'log'), 'utf8'));
      return ready();
    });
  };
  const end = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((done) => child?.once('exit', done));
    child.kill('SIGTERM');
    await exited;
  };
  after(async () => {
    await end();
    rmSync(home, { recursive: true, force: true });
  });
  await start();
  const adminKey = readFileSync(join(dataDir, 'admin.key'), 'utf8').trim();
  return { origin, adminKey, dataDir, end, start };
}

/** Waits for a condition, a minute at most. */
export async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `not within a minute: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

function freePort(): Promise<number> {
  const probe = createServer();
  return new Promise((done, fail) => {
    probe.once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      assert.ok(address && typeof address === 'object');
      probe.close(() => done(address.port));
    });
  });
}
