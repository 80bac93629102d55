// Every documented class of refusal, as the published clients report it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MesaApiError } from '@mesadev/sdk';
import { ROOT, ada, adminKey, call, envelope, ok, org, origin, refused, rejects, repo, sdk, unique } from './support.mjs';

const rest = await import('@mesadev/rest');

test('400: a wrong argument', async () => {
  await refused('createRepo', 400, 'INVALID_REPO_NAME', { body: { name: '..' } });
  await refused('listRepos', 400, 'BAD_REQUEST', { query: { limit: 0 } });
  await refused('listRepos', 400, 'INVALID_CURSOR', { query: { cursor: '!' } });
  await refused('createApiKey', 400, 'INVALID_SCOPES', { body: { scopes: [] } });
  await rejects(sdk().repos.create({ name: 'a b' }), 400, 'INVALID_REPO_NAME');
});

test('401: no credential, an unknown one, a malformed one', async () => {
  await refused('whoami', 401, 'CREDENTIAL_MISSING', {}, { key: null });
  await refused('whoami', 401, 'CREDENTIAL_UNKNOWN', {}, { key: `mesa_${'x'.repeat(44)}` });
  await refused('whoami', 401, 'CREDENTIAL_MALFORMED', {}, { key: 'a.b.c' });
  await rejects(sdk({ apiKey: `mesa_${'y'.repeat(44)}`, org }).org.get(), 401, 'CREDENTIAL_UNKNOWN');
});

test('403: a scope that is not held', async () => {
  const { key } = await ok('createApiKey', 201, { body: { scopes: ['read'] } });
  await refused('createRepo', 403, 'FORBIDDEN', { body: {} }, { key });
  await rejects(sdk({ apiKey: key, org }).apiKeys.list(), 403, 'FORBIDDEN');
});

test('404: no such thing, and no such route', async () => {
  await rejects(sdk().repos.get({ repo: unique('none') }), 404, 'REPO_NOT_FOUND');
  const { path } = await repo('missing');
  await refused('getBookmark', 404, 'BOOKMARK_NOT_FOUND', { path: { ...path, bookmark: 'feature/x' } });
  const response = await fetch(`${origin}/v2`, { headers: { authorization: `Bearer ${adminKey}` } });
  assert.equal(response.status, 404);
  envelope(await response.json(), response, 'NOT_FOUND');
});

test('406: a directory has no bytes, and JSON carries no large file', async () => {
  const { path } = await repo('bytes');
  await refused('getContent', 406, 'NOT_ACCEPTABLE', { path, headers: { accept: 'application/octet-stream' } });
  await refused('getDiff', 406, 'NOT_ACCEPTABLE', { path, query: { base_change_id: ROOT, head_change_id: ROOT }, headers: { accept: 'image/png' } });
  const large = { repo: process.env.MESA_TEST_LARGE_REPO, path: 'zeros' };
  await assert.rejects(sdk().content.get(large), (error) => {
    assert.deepEqual([error.name, error.status, error.code], ['MesaApiError', 406, 'NOT_ACCEPTABLE']);
    assert.match(error.message, /application\/octet-stream/);
    return true;
  });
  const bytes = { path: { repo: large.repo }, query: { path: large.path }, headers: { accept: 'application/octet-stream', range: 'bytes=0-9' } };
  const { data, response } = await call('getContent', bytes);
  assert.deepEqual([response.status, data.size], [206, 10]);
});

test('409: a name in use', async () => {
  const { name } = await repo('twice');
  await rejects(sdk().repos.create({ name }), 409, 'REPO_EXISTS');
});

test('409: an idempotency key used with another body', async () => {
  const headers = { 'idempotency-key': unique('once') };
  const body = { name: unique('once') };
  const first = await ok('createRepo', 201, { body, headers });
  assert.equal((await ok('createRepo', 201, { body, headers })).id, first.id);
  await refused('createRepo', 409, 'IDEMPOTENCY_MISMATCH', { body: { name: unique('other') }, headers });
});

test('405, 413, 415: methods, sizes and types', async () => {
  const send = (method, path, body, type) =>
    fetch(`${origin}/v1${path}`, { method, body, headers: { authorization: `Bearer ${adminKey}`, 'content-type': type } });
  const method = await send('PUT', `/${org}/repos`, '{}', 'application/json');
  assert.equal(method.status, 405);
  assert.equal(method.headers.get('allow'), 'GET,HEAD,POST');
  envelope(await method.json(), method, 'METHOD_NOT_ALLOWED');
  const type = await send('POST', `/${org}/repos`, 'name=x', 'application/x-www-form-urlencoded');
  assert.equal(type.status, 415);
  envelope(await type.json(), type, 'UNSUPPORTED_MEDIA_TYPE');
  const error = await refused('createRepo', 413, 'PAYLOAD_TOO_LARGE', { body: { name: 'x'.repeat(2 << 20) } });
  assert.ok(error.details.max_bytes > 0);
});

test('413: a file, a call and a list of files that are too large', async () => {
  const { name, path } = await repo('large');
  const with_ = (files) => ({ base_change_id: ROOT, message: 'm', author: ada, files });
  const content = Buffer.alloc((16 << 20) + 1).toString('base64');
  await refused('createChange', 413, 'PAYLOAD_TOO_LARGE', { path, body: with_([{ path: 'f', content }]) });
  await rejects(sdk().changes.create({ repo: name, ...with_([{ path: 'f', content }]) }), 413, 'PAYLOAD_TOO_LARGE');
  const many = Array.from({ length: 10_001 }, (_, n) => ({ path: `f${n}`, content: '' }));
  await refused('createChange', 413, 'PAYLOAD_TOO_LARGE', { path, body: with_(many) });
});

test('429: too many requests', async () => {
  const { key } = await ok('createApiKey', 201, { body: { name: unique('busy') } }, { at: process.env.MESA_TEST_LIMITED_URL, key: process.env.MESA_TEST_LIMITED_KEY });
  const at = { baseUrl: `${process.env.MESA_TEST_LIMITED_URL}/v1`, auth: key };
  let last;
  for (let n = 0; n < 50 && last?.response.status !== 429; n++) last = await rest.whoami(at);
  assert.equal(last.response.status, 429);
  envelope(last.error, last.response, 'RATE_LIMITED');
  assert.match(last.response.headers.get('retry-after'), /^\d+$/);
  const mesa = sdk({ apiKey: key, apiUrl: at.baseUrl, org });
  await rejects(mesa.org.get(), 429, 'RATE_LIMITED');
});

test('500: a server whose data are damaged', async () => {
  const at = process.env.MESA_TEST_DAMAGED_URL;
  const key = process.env.MESA_TEST_DAMAGED_KEY;
  const path = { repo: process.env.MESA_TEST_DAMAGED_REPO };
  const error = await refused('getRepo', 500, 'STORED_DATA_DAMAGED', { path }, { at, key });
  assert.ok(error.trace_id);
  const failing = sdk({ apiKey: key, apiUrl: `${at}/v1`, org }).repos.get(path);
  await assert.rejects(failing, (e) => e instanceof MesaApiError && e.status === 500);
});
