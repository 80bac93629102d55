// The way to the native addon: where it is looked for, what it is given, and what is said without.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import {
  InvalidOptionsError,
  type LogRecord,
  Mesa,
  MesaFileSystem,
  NativeAddonError,
} from '@mesadev/sdk';
import { platformPackage } from '../dist/esm/fs/addon.js';
import { client, makeRepo, mesa, org, rejects, server } from './support/index.js';

const directory = mkdtempSync(join(tmpdir(), 'mesa-sdk-addon.'));
after(() => rmSync(directory, { recursive: true }));
afterEach(() => {
  delete process.env['MESA_NAPI_PATH'];
});

function addon(name: string, source: string): string {
  const path = join(directory, name);
  writeFileSync(path, source);
  return path;
}

/** What the addon was given last. */
interface Recorded {
  config: Record<string, unknown>;
  onLog: unknown;
  getToken: (org: string) => Promise<{ token: string; expiresAt?: number }>;
}
const recording = addon(
  'recording.cjs',
  `exports.MesaFileSystem = class {
    constructor(config, onLog, getToken) { globalThis.recorded = { config, onLog, getToken }; }
  };`,
);
const recorded = (): Recorded => (globalThis as unknown as { recorded: Recorded }).recorded;

test('without an addon the error names what to install', async () => {
  const error = await rejects(mesa.fs.mount({ repos: [{ name: 'r' }] }), NativeAddonError, {
    code: 'NATIVE_ADDON_MISSING',
  });
  assert.match(
    platformPackage(),
    new RegExp(`^@mesadev/mesafs-napi-${process.platform}-${process.arch}`),
  );
  assert.ok(error.message.includes(platformPackage()) && error.message.includes('MESA_NAPI_PATH'));
});

test('an addon that cannot be used is told as such', async () => {
  for (const path of [
    addon('empty.cjs', ''),
    addon('broken.cjs', 'throw new Error("no")'),
    join(directory, 'none.node'),
  ]) {
    process.env['MESA_NAPI_PATH'] = path;
    await rejects(mesa.fs.mount({ repos: [{ name: 'r' }] }), NativeAddonError, {
      code: 'NATIVE_ADDON_UNUSABLE',
    });
  }
});

test('the addon gets the mount and a token for it', async () => {
  process.env['MESA_NAPI_PATH'] = recording;
  const [one, two] = [await makeRepo('mounted'), await makeRepo('mounted')];
  const onLog = (_: LogRecord) => {};
  const repos = [
    { name: one.name, bookmark: 'main' },
    { name: two.name, readOnly: true },
  ];
  const cache = { diskCache: { path: '/cache' } };
  const own = client({ org, vcsUrl: 'http://vcs:1' });
  const mounted = await own.fs.mount({
    repos,
    durability: 'fsync',
    cache,
    ttl: 60,
    telemetry: { logLevel: 'debug', onLog },
  });
  assert.ok(mounted instanceof MesaFileSystem);
  const { config, onLog: given, getToken } = recorded();
  assert.deepEqual(config, {
    org,
    repos,
    cache,
    durability: 'fsync',
    mountedRepos: [one.name, two.name],
    apiBaseUrl: `${server.origin}/v1`,
    vcsUrl: 'http://vcs:1',
    telemetry: { logLevel: 'debug' },
    userAgent: config['userAgent'],
  });
  assert.match(String(config['userAgent']), /^mesa-sdk-ts\//);
  assert.equal(given, onLog);
  const first = await getToken(org);
  const who = await client({ accessToken: first.token }).whoami();
  assert.deepEqual(
    [who.scopes, who.repo_ids?.sort()],
    [['read', 'write'], [one.id, two.id].sort()],
  );
  // The next one is another.
  const second = await getToken(org);
  assert.notEqual(second.token, first.token);
  assert.ok(Math.abs((second.expiresAt ?? 0) - Date.now() - 60_000) < 30_000);
});

test('with a private key the token is for the repos by access', async () => {
  process.env['MESA_NAPI_PATH'] = recording;
  const { name } = await makeRepo('mounted');
  const { private_key: privateKey } = await mesa.signingKeys.generate();
  await client({ privateKey }).fs.mount({ repos: [{ name, readOnly: true }] });
  const { token } = await recorded().getToken(org);
  assert.deepEqual((await client({ accessToken: token }).whoami()).scopes, ['read']);
  await new Mesa({ accessToken: token, apiUrl: server.origin }).fs.mount({ repos: [{ name }] });
  assert.deepEqual(await recorded().getToken(org), { token });
});

test('mounts that cannot be are refused', async () => {
  await rejects(mesa.fs.mount({ repos: [] }), InvalidOptionsError);
  const both = { name: 'r', bookmark: 'main', changeId: 'k'.repeat(32) };
  await rejects(mesa.fs.mount({ repos: [both] }), InvalidOptionsError);
});
