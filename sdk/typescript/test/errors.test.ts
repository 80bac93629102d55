// Every class of the error tree: by a real refusal where a test can cause one, else by a proxy.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import * as sdk from '@mesadev/sdk';
import { MesaApiError, MesaError } from '@mesadev/sdk';
import { client, makeRepo, mesa, org, rejects, server, unique } from './support/index.js';
import { startProxy } from './support/proxy.js';
import { startServer } from './support/server.js';

const proxy = await startProxy(server.origin);
/** Without retries, so that each refusal is seen. */
const once = client({ org, apiUrl: proxy.origin, maxRetries: 0 });

test('400, 401, 403, 404, 409 and 413 of the server', async () => {
  const status = (status: number, code: string) => ({ status, code });
  await rejects(
    mesa.repos.create({ name: 'a b' }),
    sdk.BadRequestError,
    status(400, 'INVALID_REPO_NAME'),
  );
  const stranger = client({ apiKey: `mesa_${'x'.repeat(44)}`, org });
  await rejects(stranger.org.get(), sdk.AuthenticationError, status(401, 'CREDENTIAL_UNKNOWN'));
  const { key, id } = await mesa.apiKeys.create({ scopes: ['read'] });
  await rejects(
    client({ apiKey: key }).apiKeys.list(),
    sdk.PermissionDeniedError,
    status(403, 'FORBIDDEN'),
  );
  await mesa.apiKeys.revoke({ id });
  await rejects(
    client({ apiKey: key }).whoami(),
    sdk.AuthenticationError,
    status(401, 'CREDENTIAL_REVOKED'),
  );
  await rejects(mesa.repos.get({ repo: 'none' }), sdk.NotFoundError, status(404, 'REPO_NOT_FOUND'));
  const { name } = await makeRepo('twice');
  await rejects(mesa.repos.create({ name }), sdk.ConflictError, status(409, 'REPO_EXISTS'));
  const long = mesa.repos.create({ name: 'x'.repeat(2 << 20) });
  const error = await rejects(long, sdk.PayloadTooLargeError, status(413, 'PAYLOAD_TOO_LARGE'));
  assert.ok(Number(error.details?.['max_bytes']) > 0);
});

test('429 of the server, and a client that waits for its turn', async () => {
  const limited = await startServer('--rate-burst', '3', '--rate-per-second', '1');
  const to = { apiUrl: limited.origin, apiKey: limited.adminKey, org };
  const impatient = client({ ...to, maxRetries: 0 });
  const all = Array.from({ length: 10 }, () => impatient.org.get());
  const refused = (await Promise.allSettled(all)).flatMap((r) =>
    r.status === 'rejected' ? [r.reason] : [],
  );
  assert.ok(refused.length > 0);
  for (const error of refused) {
    assert.ok(error instanceof sdk.RateLimitError, String(error));
    assert.deepEqual([error.code, error.retryAfterMs], ['RATE_LIMITED', 1000]);
  }
  assert.ok((await client(to).org.get()).created_at);
});

test('every status has its class', async () => {
  const classes: Record<number, new (facts: never) => MesaApiError> = {
    400: sdk.BadRequestError,
    401: sdk.AuthenticationError,
    403: sdk.PermissionDeniedError,
    404: sdk.NotFoundError,
    405: sdk.MethodNotAllowedError,
    406: sdk.NotAcceptableError,
    408: sdk.RequestTimeoutError,
    409: sdk.ConflictError,
    413: sdk.PayloadTooLargeError,
    414: sdk.UriTooLongError,
    415: sdk.UnsupportedMediaTypeError,
    416: sdk.RangeNotSatisfiableError,
    418: sdk.MesaApiError,
    429: sdk.RateLimitError,
    500: sdk.InternalServerError,
    502: sdk.ServerError,
    503: sdk.UnavailableError,
    507: sdk.StorageFullError,
  };
  for (const [status, type] of Object.entries(classes)) {
    const body = {
      error: { code: 'SOME_CODE', message: 'why', details: { a: 1 } },
      trace_id: 'trace-1',
    };
    proxy.plan({
      status: Number(status),
      body: JSON.stringify(body),
      headers: { 'retry-after': '7' },
    });
    const error = await rejects(once.whoami(), type as new () => MesaApiError);
    assert.equal(error.constructor, type);
    assert.equal(error.name, type.name);
    assert.deepEqual(
      [error.status, error.code, error.message, error.traceId, error.details, error.retryAfterMs],
      [Number(status), 'SOME_CODE', 'SOME_CODE: why', 'trace-1', { a: 1 }, 7000],
    );
    assert.deepEqual([error.body, error.attempts, error.method], [body, 1, 'GET']);
    assert.equal(error.headers.get('retry-after'), '7');
    assert.ok(!inspect(error).includes('retry-after'), 'headers are shown with every error');
    assert.ok(Number(status) < 500 || error instanceof sdk.ServerError);
  }
});

test('conflicts of a merge are read from the details', async () => {
  const details = { conflict_paths: ['a'], conflicts: [{ path: 'a', hunks: [] }] };
  const body = JSON.stringify({ error: { code: 'MERGE_CONFLICT', message: 'm', details } });
  proxy.plan({ status: 409, body }, { status: 409, body: '{"error":{"code":"MERGE_CONFLICT"}}' });
  const merge = () => once.bookmarks.merge({ repo: 'r', target: 'a', source: 'b' });
  const error = await rejects(merge(), sdk.MergeConflictError);
  assert.deepEqual([error.conflictPaths, error.conflicts], [['a'], [{ path: 'a', hunks: [] }]]);
  const bare = await rejects(merge(), sdk.MergeConflictError);
  assert.deepEqual([bare.conflictPaths, bare.conflicts], [[], []]);
});

test('refusals of others are told as far as they can be', async () => {
  const plan = (status: number, body: string, headers = {}) =>
    proxy.plan({ status, body, headers });
  plan(502, '<html>Bad gateway</html>', { 'x-request-id': 'r-1' });
  const html = await rejects(once.whoami(), sdk.ServerError, { code: 'HTTP_502', traceId: 'r-1' });
  assert.equal(html.message, 'HTTP_502: <html>Bad gateway</html>');
  plan(500, '');
  await rejects(once.whoami(), sdk.InternalServerError, {
    message: 'HTTP_500: Internal Server Error',
  });
  plan(404, '{"code":"FLAT","message":"m"}');
  await rejects(once.whoami(), sdk.NotFoundError, { code: 'FLAT' });
  plan(500, 'x'.repeat(10_000));
  assert.ok((await rejects(once.whoami(), sdk.InternalServerError)).message.length < 400);
  plan(307, '', { location: '/elsewhere' });
  await rejects(once.repos.create(), MesaApiError, { status: 307 });
});

test('a success that is no JSON is an error', async () => {
  proxy.plan({ status: 200, body: '<html>' }, { status: 204 });
  await rejects(once.whoami(), sdk.InvalidResponseError, { code: 'INVALID_RESPONSE' });
  await rejects(once.whoami(), sdk.InvalidResponseError);
});

test('no server, and one that breaks off', async () => {
  const nobody = client({ org, apiUrl: 'http://127.0.0.1:9', maxRetries: 0 });
  const error = await rejects(nobody.whoami(), sdk.ConnectionError, { code: 'CONNECTION_FAILED' });
  assert.match(error.message, /GET http:\/\/127\.0\.0\.1:9\/v1\/whoami: .*(ECONNREFUSED|bad port)/);
  for (const fault of ['drop', 'lose', 'cut'] as const) {
    proxy.plan(fault);
    await rejects(once.whoami(), sdk.ConnectionError);
  }
});

test('the org that cannot be resolved names its reason, and the next call asks again', async () => {
  const own = client({ apiUrl: proxy.origin, maxRetries: 0 });
  proxy.plan({ status: 503 });
  const error = await rejects(own.repos.list(), sdk.OrgResolutionError, {
    code: 'ORG_RESOLUTION_FAILED',
  });
  assert.ok(error.cause instanceof sdk.UnavailableError);
  assert.ok((await own.repos.list()).repos);
});

test('arguments that cannot be right are refused unsent', async () => {
  proxy.plan();
  const { InvalidOptionsError } = sdk;
  for (const repo of ['', '.', '..', 7 as unknown as string, '\ud800']) {
    await rejects(once.repos.get({ repo }), InvalidOptionsError, { code: 'INVALID_OPTIONS' });
  }
  await rejects(once.repos.get({} as never), InvalidOptionsError);
  await rejects(
    once.content.getBytes({ repo: 'r', path: 'p', range: { start: 2, end: 1 } }),
    InvalidOptionsError,
  );
  await rejects(once.whoami({ timeoutMs: 0 }), InvalidOptionsError);
  await rejects(once.whoami({ maxRetries: -1 }), InvalidOptionsError);
  for (const idempotencyKey of ['', 'a b', 'ü', 'x'.repeat(256)]) {
    await rejects(once.repos.create({}, { idempotencyKey }), InvalidOptionsError);
  }
  assert.equal(proxy.seen.length, 0);
});

test('names go into paths and queries as they are', async () => {
  proxy.plan();
  const found = once.bookmarks.get({ repo: 'a/b c', bookmark: 'feature/ü?#%' });
  await rejects(found, sdk.NotFoundError);
  assert.equal(proxy.seen[0]?.url, `/v1/${org}/a%2Fb%20c/bookmarks/feature%2F%C3%BC%3F%23%25`);
  const metadata = { 'a b': 'c&d' };
  await rejects(
    once.content.get({ repo: unique('none'), path: 'x+y', metadata }),
    sdk.NotFoundError,
  );
  assert.match(proxy.seen[1]?.url ?? '', /\/content\?path=x%2By&metadata%5Ba\+b%5D=c%26d$/);
});

test('all errors are of one tree, with names and codes', () => {
  const classes = Object.entries(sdk).filter(([name]) => /Error$/.test(name));
  assert.ok(classes.length > 30);
  for (const [name, type] of classes) {
    const { prototype } = type as { prototype: Error };
    assert.ok(prototype instanceof Error, name);
    assert.ok(type === MesaError || prototype instanceof MesaError, name);
    const shown =
      { AbortedError: 'AbortError', MissingApiKeyError: 'MissingCredentialError' }[name] ?? name;
    assert.equal(prototype.name, shown);
  }
  const shown = inspect(new sdk.InvalidOptionsError('why'));
  assert.match(shown, /^InvalidOptionsError: why[\s\S]*code: 'INVALID_OPTIONS'/);
});
