// Options, the environment, and what is refused before anything is sent.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  generatePrivateKey,
  InvalidApiUrlError,
  InvalidOptionsError,
  Mesa,
  type MesaOptions,
  MissingApiKeyError,
  MissingCredentialError,
  VERSION,
} from '@mesadev/sdk';
import { type Settings, settle } from '../dist/esm/settings.js';
import { client, org, rejects, server } from './support/index.js';
import { startProxy } from './support/proxy.js';

const from = (options: MesaOptions, env: Record<string, string> = {}): Settings =>
  settle({ apiKey: 'mesa_k', ...options }, env);

test('addresses are taken with and without /v1 and a slash', () => {
  for (const given of [
    'http://h:1',
    'http://h:1/',
    'http://h:1/v1',
    'http://h:1/v1/',
    ' http://h:1/v1 ',
  ]) {
    const { apiUrl, vcsUrl } = from({ apiUrl: given });
    assert.deepEqual([apiUrl, vcsUrl], ['http://h:1/v1', 'http://h:1'], given);
  }
  assert.equal(from({ apiUrl: new URL('https://h/mesa/v1') }).apiUrl, 'https://h/mesa/v1');
  assert.equal(from({ apiUrl: 'http://h', vcsUrl: 'https://vcs.h/' }).vcsUrl, 'https://vcs.h');
});

test('the address comes from the environment, else from this machine', () => {
  assert.equal(from({}).apiUrl, 'http://127.0.0.1:7117/v1');
  assert.equal(from({}, { MESA_API_URL: ' ' }).apiUrl, 'http://127.0.0.1:7117/v1');
  assert.equal(from({}, { MESA_SERVICE_DOMAIN: 'x.dev' }).apiUrl, 'https://api.x.dev/v1');
  const both = { MESA_API_URL: 'http://h:2', MESA_SERVICE_DOMAIN: 'x.dev' };
  assert.equal(from({}, both).apiUrl, 'http://h:2/v1');
  assert.equal(from({ apiUrl: 'http://h:3' }, both).apiUrl, 'http://h:3/v1');
});

test('what is no address is refused, passwords unshown', () => {
  for (const apiUrl of ['h:1', 'ftp://h', 'not a url', '', 'http://h?x=1']) {
    assert.throws(() => from({ apiUrl }), InvalidApiUrlError, apiUrl);
  }
  assert.throws(
    () => from({ apiUrl: 'http://u:hush@h' }),
    (error: Error) => error instanceof InvalidApiUrlError && !error.message.includes('hush'),
  );
});

test('credentials: options before the environment, one of three', () => {
  const { privateKey } = generatePrivateKey('acme');
  const env = { MESA_ACCESS_TOKEN: 't', MESA_API_KEY: 'mesa_e', MESA_PRIVATE_KEY: privateKey };
  const kind = (options: MesaOptions, env: Record<string, string>) =>
    settle(options, env).credential;
  assert.deepEqual(kind({ apiKey: 'mesa_o\n' }, env), { kind: 'api-key', secret: 'mesa_o' });
  assert.deepEqual(kind({}, env), { kind: 'access-token', token: 't' });
  assert.deepEqual(kind({}, { ...env, MESA_ACCESS_TOKEN: '' }), {
    kind: 'api-key',
    secret: 'mesa_e',
  });
  assert.equal(kind({}, { MESA_PRIVATE_KEY: privateKey }).kind, 'private-key');
  assert.deepEqual(kind({ apiKey: 'eyJh.eyJi.c' }, {}), {
    kind: 'access-token',
    token: 'eyJh.eyJi.c',
  });
  assert.throws(() => kind({ apiKey: 'a', accessToken: 'b' }, {}), InvalidOptionsError);
  assert.throws(() => kind({}, {}), MissingCredentialError);
  assert.throws(() => kind({ apiKey: ' ' }, env), MissingApiKeyError);
  assert.throws(
    () => kind({ apiKey: 'mesa_hush\nx' }, {}),
    (error: Error) => error instanceof InvalidOptionsError && !error.message.includes('hush'),
  );
  assert.throws(() => new Mesa(), MissingCredentialError);
});

test('the org: of the key, the option, the environment', () => {
  const { privateKey } = generatePrivateKey('acme');
  assert.equal(from({ org: 'o' }, { MESA_ORG: 'e' }).org, 'o');
  assert.equal(from({}, { MESA_ORG: 'e' }).org, 'e');
  assert.equal(settle({ privateKey }, { MESA_ORG: 'e' }).org, 'acme');
  assert.throws(() => settle({ privateKey, org: 'other' }, {}), InvalidOptionsError);
});

test('numbers that are none are refused', () => {
  for (const timeoutMs of [0, -1, Number.NaN, 2 ** 31])
    assert.throws(() => from({ timeoutMs }), InvalidOptionsError);
  for (const maxRetries of [-1, 0.5, Number.NaN])
    assert.throws(() => from({ maxRetries }), InvalidOptionsError);
  assert.throws(() => from({ userAgent: 'a\nb' }), InvalidOptionsError);
  assert.equal(from({ maxRetries: 0, retry: { baseDelayMs: 5 } }).retry.maxRetries, 0);
});

test('a client needs nothing but the environment', async () => {
  Object.assign(process.env, {
    MESA_API_URL: server.origin,
    MESA_API_KEY: server.adminKey,
    MESA_ORG: org,
  });
  try {
    assert.equal((await new Mesa().org.get()).slug, org);
    assert.equal((await new Mesa({ apiKey: process.env['MESA_API_KEY'] }).whoami()).org.slug, org);
  } finally {
    for (const name of ['MESA_API_URL', 'MESA_API_KEY', 'MESA_ORG']) delete process.env[name];
  }
});

test('requests say who sends them', async () => {
  const proxy = await startProxy(server.origin);
  await client({ apiUrl: proxy.origin, userAgent: 'agent/1' }).whoami();
  assert.equal(proxy.seen[0]?.headers['user-agent'], `mesa-sdk-ts/${VERSION} agent/1`);
  const url = new URL('../package.json', import.meta.url);
  assert.equal(VERSION, JSON.parse(readFileSync(url, 'utf8')).version);
});

test('methods work without their object', async () => {
  const { list } = client({ org }).repos;
  assert.ok((await list()).repos);
  await rejects(client({ org }).repos.get({ repo: 'none' }), Error);
});
