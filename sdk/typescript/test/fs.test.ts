// The way to the native addon: where it is looked for, what it is given, and what is said without.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { InvalidOptionsError, type LogRecord, Mesa, NativeAddonError } from '@mesadev/sdk';
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

/** Keeps what it was given. */
const recording = addon(
  'recording.cjs',
  'exports.MesaFileSystem = class { constructor(config, onLog) { Object.assign(this, { config, onLog }); } };',
);
interface Recorded {
  config: { apiKey: string } & Record<string, unknown>;
  onLog: unknown;
}

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
    cache,
    ttl: 60,
    telemetry: { logLevel: 'debug', onLog },
  });
  const { config, onLog: given } = mounted as unknown as Recorded;
  const { apiKey, ...rest } = config;
  assert.deepEqual(rest, {
    org,
    repos,
    cache,
    mountedRepos: [one.name, two.name],
    apiBaseUrl: `${server.origin}/v1`,
    vcsUrl: 'http://vcs:1',
    telemetry: { logLevel: 'debug' },
  });
  assert.equal(given, onLog);
  const who = await client({ accessToken: apiKey }).whoami();
  assert.deepEqual(
    [who.scopes, who.repo_ids?.sort()],
    [['read', 'write'], [one.id, two.id].sort()],
  );
});

test('with a private key the token is for the repos by access', async () => {
  process.env['MESA_NAPI_PATH'] = recording;
  const { name } = await makeRepo('mounted');
  const { private_key: privateKey } = await mesa.signingKeys.generate();
  const mounted = await client({ privateKey }).fs.mount({ repos: [{ name, readOnly: true }] });
  const token = (mounted as unknown as Recorded).config.apiKey;
  assert.deepEqual((await client({ accessToken: token }).whoami()).scopes, ['read']);
  const handed = await new Mesa({ accessToken: token, apiUrl: server.origin }).fs.mount({
    repos: [{ name }],
  });
  assert.equal((handed as unknown as Recorded).config.apiKey, token);
});

test('mounts that cannot be are refused', async () => {
  await rejects(mesa.fs.mount({ repos: [] }), InvalidOptionsError);
  const both = { name: 'r', bookmark: 'main', changeId: 'k'.repeat(32) };
  await rejects(mesa.fs.mount({ repos: [both] }), InvalidOptionsError);
});
