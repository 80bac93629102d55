// The refusals that every method can meet, met by every method.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { methods, operations } from './operations.mjs';
import { adminKey, call, envelope, ok, org, origin, repo, sdk, unique } from './support.mjs';

const stranger = `mesa_${'x'.repeat(44)}`;
const served = (await (await fetch(`${origin}/openapi.json`)).json()).paths;
const scopes = Object.fromEntries(
  Object.values(served).flatMap((path) => Object.values(path).map((o) => [o.operationId, o['x-required-scope']])),
);

/** Calls every operation of `@mesadev/rest`; each must be refused so. */
async function everyOperation(table, status, code, how) {
  for (const [name, options] of Object.entries(table)) {
    const { error, response } = await call(name, options, how);
    assert.equal(response?.status, status, `${name}: ${JSON.stringify(error)}`);
    envelope(error, response, code ?? error.error.code);
  }
}

/** Calls every method of the SDK; each must be rejected so. */
async function everyMethod(table, status, code, options) {
  const mesa = sdk({ org, ...options });
  for (const [name, input] of Object.entries(table)) {
    const [resource, method] = name.split('.');
    await assert.rejects(mesa[resource][method](input), (error) => {
      assert.deepEqual([error.name, error.status], ['MesaApiError', status], `${name}: ${error}`);
      if (code) assert.equal(error.code, code, name);
      return true;
    });
  }
}

const only = (table, wanted) => Object.fromEntries(Object.entries(table).filter(([name]) => wanted(name)));

test('500: every method says that the server failed', async () => {
  const [at, key] = [process.env.MESA_TEST_FAILING_URL, process.env.MESA_TEST_FAILING_KEY];
  await everyOperation(operations('any'), 500, 'INTERNAL_ERROR', { at, key });
  await everyMethod(methods('any'), 500, 'INTERNAL_ERROR', { apiKey: key, apiUrl: `${at}/v1`, vcsUrl: at });
});

test('401: no method works without a known key', async () => {
  await everyOperation(operations('any'), 401, 'CREDENTIAL_MISSING', { key: null });
  await everyMethod(methods('any'), 401, 'CREDENTIAL_UNKNOWN', { apiKey: stranger });
});

test('403: a key that only reads calls nothing that wants more', async () => {
  const { name } = await repo('forbidden');
  const { key } = await ok('createApiKey', 201, { body: { scopes: ['read'] } });
  const more = (operation) => ['write', 'admin'].includes(scopes[operation]);
  const table = only(operations(name), more);
  assert.ok(Object.keys(table).length >= 20);
  await everyOperation(table, 403, 'FORBIDDEN', { key });
  const forbidden = /^(apiKeys|webhookTargets)\.|\.(create|update|delete|move|merge|patch|syncUpstream)$/;
  await everyMethod(only(methods(name), (method) => forbidden.test(method)), 403, 'FORBIDDEN', { apiKey: key });
});

test('404: what is not there is not there for any method', async () => {
  const name = unique('none');
  const table = only(operations(name), (operation) => operations(name)[operation].path);
  await everyOperation(table, 404, undefined, { key: adminKey });
  await everyMethod(only(methods(name), (method) => methods(name)[method].repo), 404, 'REPO_NOT_FOUND', {});
  // In a repo that is there.
  const here = await repo('here');
  const absent = /Bookmark$|^(getRepoUpstreamSync|getChange|createChange|updateChange|getDiff)$/;
  const { createBookmark, ...others } = only(operations(here.name), (operation) => absent.test(operation));
  await everyOperation(others, 404, undefined, { key: adminKey });
  await everyOperation({ createBookmark }, 404, 'CHANGE_NOT_FOUND', { key: adminKey });
});
