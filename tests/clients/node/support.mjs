// What the tests share: the server under test, recorded clients, and the shape of refusals.
import assert from 'node:assert/strict';
import * as rest from '@mesadev/rest';
import { Mesa } from '@mesadev/sdk';

const need = (name) => {
  const value = process.env[name];
  assert.ok(value, `${name} is not set; run this through \`cargo nextest run -E 'test(clients)'\``);
  return value;
};

/** Origin of the server, without `/v1`. */
export const origin = need('MESA_TEST_URL');
/** The bootstrap key. */
export const adminKey = need('MESA_TEST_KEY');
export const org = 'my-org';
export const ROOT = 'z'.repeat(32);
export const ada = { name: 'Ada Lovelace', email: 'ada@example.com' };

let serial = 0;
/** A name no other test uses. */
export const unique = (stem) => `${stem}-${process.pid}-${serial++}`;
export const base64 = (text) => Buffer.from(text).toString('base64');
export const text = (content) => Buffer.from(content, 'base64').toString();

/** Operations of `@mesadev/rest` and methods of the SDK that succeeded. */
export const driven = { rest: new Set(), sdk: new Set() };

/** Calls one operation of `@mesadev/rest`; answers data, error and response as the client gives them. */
export async function call(name, options = {}, { key = adminKey, at = origin, ...more } = {}) {
  const result = await rest[name]({ baseUrl: `${at}/v1`, auth: key ?? undefined, path: { org, ...options.path }, ...more, ...stripPath(options) });
  if (result.response?.ok) driven.rest.add(name);
  return result;
}
const stripPath = ({ path, ...others }) => others;

/** The data of a call that must succeed with exactly this status. */
export async function ok(name, status, options, how) {
  const { data, error, response } = await call(name, options, how);
  assert.equal(response?.status, status, `${name}: ${JSON.stringify(error)}`);
  return data;
}

/** A call that must be refused; checks the envelope and answers its error. */
export async function refused(name, status, code, options, how) {
  const { error, response } = await call(name, options, how);
  assert.equal(response?.status, status, `${name}: ${JSON.stringify(error)}`);
  envelope(error, response, code);
  return error.error;
}

/** Checks the one form every refusal has. */
export function envelope(body, response, code) {
  assert.equal(body.error.code, code);
  assert.equal(typeof body.error.message, 'string');
  assert.ok(body.error.message.length > 0);
  assert.equal(body.trace_id, response.headers.get('x-request-id'));
  assert.match(response.headers.get('content-type'), /^application\/json/);
  if (response.status >= 500) assert.equal(body.error.trace_id, body.trace_id);
  if (response.status === 401) assert.equal(response.headers.get('www-authenticate'), 'Bearer');
}

/** An SDK client whose successful calls are recorded. */
export function sdk(options = {}) {
  const mesa = new Mesa({ apiKey: adminKey, apiUrl: `${origin}/v1`, vcsUrl: origin, ...options });
  return new Proxy(mesa, {
    get(target, property) {
      const value = Reflect.get(target, property, target);
      if (property === 'whoami' || property === 'resolveOrg') return recorded(property, value.bind(target));
      if (value === null || typeof value !== 'object' || property === 'fs') return value;
      return Object.fromEntries(Object.entries(value).map(([name, method]) => [name, recorded(`${property}.${name}`, method)]));
    },
  });
}
const recorded = (name, method) => (...args) => {
  const answer = method(...args);
  return answer instanceof Promise ? answer.then((value) => (driven.sdk.add(name), value)) : (driven.sdk.add(name), answer);
};

/** A rejection by `MesaApiError` with this status and code. */
export async function rejects(promise, status, code) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.name, 'MesaApiError', String(error));
    assert.deepEqual([error.status, error.code], [status, code], error.message);
    assert.ok(error.message.startsWith(`${code}: `), error.message);
    return true;
  });
}

/** A new repo, with a change holding `files` at its default bookmark if some are given. */
export async function repo(stem, files = {}) {
  const made = await ok('createRepo', 201, { body: { name: unique(stem) } });
  const path = { repo: made.name };
  const ops = Object.entries(files).map(([path, content]) => ({ path, content: base64(content) }));
  if (ops.length === 0) return { ...made, path };
  const change = await ok('createChange', 201, { path, body: { base_change_id: ROOT, message: 'first', author: ada, files: ops } });
  await ok('moveBookmark', 200, { path: { ...path, bookmark: 'main' }, body: { change_id: change.id } });
  return { ...made, path, change };
}

/** A change with these file operations. */
export const change = (path, base, message, files) =>
  ok('createChange', 201, { path, body: { base_change_id: base, message, author: ada, files } });
