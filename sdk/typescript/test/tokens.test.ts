// Tokens signed here: their three forms, byte for byte and as the server takes them.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { mock, test } from 'node:test';
import {
  AuthenticationError,
  BadRequestError,
  generatePrivateKey,
  InvalidOptionsError,
  NotFoundError,
  PermissionDeniedError,
  type ScopedTokenInput,
} from '@mesadev/sdk';
import { signWithApiKey } from '../dist/esm/auth/jwt.js';
import { parsePrivateKey } from '../dist/esm/auth/private-key.js';
import { client, makeRepo, mesa, org, rejects, unique } from './support/index.js';

const decoded = (token: string) =>
  token
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));

/** A client that signs with a private key of the org. */
async function signer(scopes: ('read' | 'write' | 'admin')[] = ['admin']) {
  const { private_key: privateKey, id } = await mesa.signingKeys.generate({ scopes });
  return { own: client({ privateKey }), privateKey, id };
}

test('form A: the HMAC key, header and claims of the contract', () => {
  mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 });
  try {
    const claims = { scopes: ['read', 'write'], repos: ['acme/demo'] };
    const { token, expiresAt } = signWithApiKey('mesa_testkey', 'key_1', claims, 3600);
    const [header, payload] = decoded(token);
    assert.deepEqual(header, { alg: 'HS256', typ: 'mesa-at+jwt', kid: 'key_1.v1' });
    const { jti, ...rest } = payload;
    assert.match(jti, /^[0-9a-f-]{36}$/);
    assert.deepEqual(rest, {
      iss: 'key_1',
      aud: 'mesa-api',
      ...claims,
      iat: 1_700_000_000,
      exp: 1_700_003_600,
    });
    assert.equal(expiresAt, 1_700_003_600);
  } finally {
    mock.timers.reset();
  }
});

test('form A: a token is no stronger than it says, nor than its key', async () => {
  const [one, two] = [await makeRepo('token'), await makeRepo('token')];
  const made = await mesa.tokens.create({ scopes: ['read'], repos: [one.name], ttl_seconds: 60 });
  assert.deepEqual(
    [made.scopes, made.repos, made.repo_ids],
    [['read'], [`${org}/${one.name}`], null],
  );
  const [, { iat, exp }] = decoded(made.token);
  assert.equal(exp - iat, 60);
  assert.equal(Date.parse(made.expires_at), exp * 1000);
  const holder = client({ accessToken: made.token });
  assert.equal((await holder.repos.get({ repo: one.name })).id, one.id);
  await rejects(holder.repos.get({ repo: two.name }), NotFoundError);
  await rejects(holder.repos.update({ repo: one.name, tags: {} }), PermissionDeniedError);
  const byId = await mesa.tokens.create({ repo_ids: [two.id] });
  assert.deepEqual((await client({ accessToken: byId.token }).whoami()).repo_ids, [two.id]);

  assert.deepEqual((await mesa.tokens.create()).scopes, ['read', 'write', 'admin']);
  const weak = await mesa.apiKeys.create({ scopes: ['read'] });
  const weakClient = client({ apiKey: weak.key });
  assert.deepEqual((await weakClient.tokens.create()).scopes, ['read']);
  const grown = client({
    accessToken: (await weakClient.tokens.create({ scopes: ['admin'] })).token,
  });
  await rejects(grown.apiKeys.list(), PermissionDeniedError);
  await mesa.apiKeys.revoke({ id: weak.id });
  await rejects(grown.whoami(), AuthenticationError, { code: 'CREDENTIAL_REVOKED' });
});

test('a private key is a credential; its client asks nobody for the org', async () => {
  const { own, id } = await signer(['read', 'write']);
  const repo = await own.repos.create({ name: unique('signed') });
  assert.equal(repo.org, org);
  assert.equal((await own.whoami()).key_id, id);
  await rejects(own.apiKeys.list(), PermissionDeniedError);
  await mesa.signingKeys.revoke({ id });
  await rejects(own.repos.list(), AuthenticationError, { code: 'CREDENTIAL_REVOKED' });
});

test('form B: scopes, repos and authors under a private key', async () => {
  const { own, privateKey } = await signer();
  const [one, two] = [await makeRepo('token'), await makeRepo('token')];
  const authors = [
    { name: ' Ada ', email: 'ada@example.com' },
    { name: 'Agent', email: ' ' },
  ];
  const made = await own.tokens.create({ scopes: ['read'], repos: [one.name], authors });
  const [header, payload] = decoded(made.token);
  const { publicKey } = parsePrivateKey(privateKey);
  assert.deepEqual(header, {
    alg: 'EdDSA',
    typ: 'mesa-at+jwt',
    jwk: { kty: 'OKP', crv: 'Ed25519', x: publicKey },
  });
  const [iss, author] = [payload.iss, payload.author];
  assert.deepEqual(
    [iss, author],
    [
      org,
      [
        ['Ada', 'ada@example.com'],
        ['Agent', null],
      ],
    ],
  );
  assert.equal(payload.exp - payload.iat, 900);
  const [head, body, signature = ''] = made.token.split('.');
  const key = createPublicKey({ key: header.jwk, format: 'jwk' });
  assert.ok(verify(null, Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url')));
  const holder = client({ accessToken: made.token });
  assert.equal((await holder.repos.get({ repo: one.name })).id, one.id);
  await rejects(holder.repos.get({ repo: two.name }), NotFoundError);
  const byId = await own.tokens.create({ repo_ids: [two.id] });
  assert.deepEqual([byId.repos, byId.repo_ids], [null, [two.id]]);
  assert.deepEqual((await client({ accessToken: byId.token }).whoami()).repo_ids, [two.id]);
});

test('form C: all that the key may do, or named repos', async () => {
  const { own } = await signer();
  const [one, two] = [await makeRepo('token'), await makeRepo('token')];
  const admin = await own.tokens.create({ admin: true, authors: [{ name: 'Ada' }] });
  assert.equal(admin.admin, true);
  assert.deepEqual(decoded(admin.token)[1].authors, [{ name: 'Ada', email: null }]);
  const whole = client({ accessToken: admin.token });
  assert.ok((await whole.apiKeys.list({ limit: 1 })).api_keys);
  const access = { [one.name]: 'write-repo', [two.name]: 'read-repo' } as const;
  const named = await own.tokens.create({ access, ttl_seconds: 60 });
  assert.deepEqual(named.access, access);
  const holder = client({ accessToken: named.token });
  assert.deepEqual((await holder.repos.update({ repo: one.name, tags: { a: 'b' } })).tags, {
    a: 'b',
  });
  assert.equal((await holder.repos.get({ repo: two.name })).id, two.id);
  await rejects(holder.repos.update({ repo: two.name, tags: {} }), PermissionDeniedError);
});

test('a key signs as little as it must, and in time', async () => {
  const { own } = await signer();
  const sent = new Set<string>();
  const { private_key: privateKey } = await mesa.signingKeys.generate();
  const noting = client({
    privateKey,
    fetch: (input, init) => {
      sent.add(new Headers(init?.headers).get('authorization') ?? '');
      return fetch(input, init);
    },
  });
  await noting.repos.list();
  await noting.repos.list();
  assert.equal(sent.size, 1);
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 601_000 });
  try {
    await rejects(noting.repos.list(), AuthenticationError, { code: 'CREDENTIAL_MALFORMED' });
  } finally {
    mock.timers.reset();
  }
  assert.equal(sent.size, 2);
  assert.ok(await own.whoami());
});

test('wishes that no token can fulfil are refused unsent', async () => {
  const { own } = await signer();
  const wrong: ScopedTokenInput[] = [
    { ttl_seconds: 0 },
    { ttl_seconds: 1.5 },
    { scopes: [] },
    { repos: Array(251).fill('r') },
    { repo_ids: Array(251).fill('r') },
  ];
  for (const input of wrong) {
    await rejects(mesa.tokens.create(input), InvalidOptionsError);
    await rejects(own.tokens.create(input), InvalidOptionsError);
  }
  await rejects(mesa.tokens.create({ ttl_seconds: 86_401 }), InvalidOptionsError);
  await rejects(own.tokens.create({ ttl_seconds: 14_401 }), InvalidOptionsError);
  for (const name of ['', ' ', 'A <b', 'A\n']) {
    await rejects(own.tokens.create({ authors: [{ name }] }), InvalidOptionsError);
  }
  await rejects(own.tokens.create({ authors: [] }), InvalidOptionsError);
  await rejects(own.tokens.create({ access: { 'a/b': 'read-repo' } }), InvalidOptionsError);
  await rejects(own.tokens.create({ admin: true, access: {} } as never), InvalidOptionsError);
  await rejects(mesa.tokens.create({ admin: true }), InvalidOptionsError);
  await rejects(mesa.tokens.create({ authors: [{ name: 'Ada' }] }), InvalidOptionsError);
  const holder = client({ accessToken: 'eyJh.eyJi.c' });
  await rejects(holder.tokens.create(), InvalidOptionsError);
  await rejects(holder.tokens.create({ admin: true }), InvalidOptionsError);
});

test('private keys are read exactly', async () => {
  const { privateKey, publicKey } = generatePrivateKey('a-1');
  const key = parsePrivateKey(privateKey);
  assert.deepEqual([key.org, key.publicKey], ['a-1', publicKey]);
  const wrong = [
    'x',
    'mesa_private_key_',
    `mesa_private_key_A_${privateKey.slice(21)}`,
    `${privateKey}A`,
    `${privateKey}=`,
    privateKey.slice(0, -4),
  ];
  for (const text of wrong) assert.throws(() => parsePrivateKey(text), InvalidOptionsError);
  assert.throws(() => generatePrivateKey('A B'), InvalidOptionsError);
  await rejects(mesa.signingKeys.create({ public_key: 'short' }), BadRequestError);
});
