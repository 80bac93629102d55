// What the tests share: the server under test, clients of it, and what they were seen to do.
import assert from 'node:assert/strict';
import { appendFileSync, writeFileSync } from 'node:fs';
import { Mesa, MesaApiError, type MesaOptions, type Repo } from '@mesadev/sdk';
import { startServer } from './server.js';

// What is set where the tests run is not theirs.
for (const name of Object.keys(process.env)) {
  if (name.startsWith('MESA_') && !name.startsWith('MESA_TEST_')) delete process.env[name];
}

/** The server of this process. Webhooks' receivers are on this machine. */
export const server = await startServer('--webhooks-allow-private');
export const org = 'my-org';
export const ada = { name: 'Ada Lovelace', email: 'ada@example.com' };

/** The contract that the server serves. */
export interface Contract {
  paths: Record<string, Record<string, { operationId: string }>>;
}
export const contract = (await (await fetch(`${server.origin}/openapi.json`)).json()) as Contract;

/** The name by which routes are compared: their parameters have several. */
export const routeName = (method: string, path: string): string =>
  `${method.toUpperCase()} ${path.replace(/\{\w+\}/g, '{}')}`;

const served = new Map<string, string>();
for (const [path, operations] of Object.entries(contract.paths)) {
  for (const [method, { operationId }] of Object.entries(operations)) {
    served.set(routeName(method, path), operationId);
  }
}

/** Why a test of this route cannot run; false when it can. */
export const unlessServed = (method: string, path: string): string | false =>
  served.has(routeName(method, path)) ? false : `this server does not offer ${method} ${path}`;

/** Routes that are served, as patterns, those without parameters first. */
const patterns = [...served.keys()]
  .sort((a, b) => a.split('{}').length - b.split('{}').length)
  .map((name) => ({ name, pattern: new RegExp(`^${name.replaceAll('{}', '[^/]+')}$`) }));

/** Notes a request that succeeded, for the look at what was driven. */
const traced: typeof fetch = async (input, init) => {
  const answer = await fetch(input, init);
  const path = new URL(String(input)).pathname.replace(/^\/v1/, '');
  const asked = `${init?.method ?? 'GET'} ${path}`;
  const name = patterns.find(({ pattern }) => pattern.test(asked))?.name;
  const trace = process.env['MESA_TEST_TRACE'];
  if (trace && answer.ok && name) appendFileSync(trace, `${served.get(name)}\n`);
  return answer;
};
if (process.env['MESA_TEST_SERVED']) {
  writeFileSync(process.env['MESA_TEST_SERVED'], [...served.values()].join('\n'));
}

/** A client with the bootstrap key. */
export const client = (options: MesaOptions = {}): Mesa => {
  const { accessToken, privateKey } = options;
  const key = accessToken || privateKey ? {} : { apiKey: server.adminKey };
  return new Mesa({ ...key, apiUrl: server.origin, fetch: traced, ...options });
};
export const mesa = client({ org });

let serial = 0;
/** A name that no other test uses. */
export const unique = (stem: string): string => `${stem}-${process.pid}-${serial++}`;

export const makeRepo = (stem: string): Promise<Repo> => mesa.repos.create({ name: unique(stem) });

/** A rejection with an error of this class; answers it. */
export async function rejects<E extends Error>(
  promise: PromiseLike<unknown>,
  // biome-ignore lint/suspicious/noExplicitAny: constructors of errors have nothing in common.
  type: new (...args: any[]) => E,
  facts: Partial<E> = {},
): Promise<E> {
  let thrown: unknown;
  try {
    await promise;
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof type, `expected ${type.name}, got ${thrown}`);
  for (const [name, value] of Object.entries(facts)) {
    assert.deepEqual(thrown[name as keyof E], value, `${name} of ${thrown}`);
  }
  if (thrown instanceof MesaApiError) assert.ok(thrown.message.startsWith(`${thrown.code}: `));
  return thrown;
}
