// Retries, idempotency, times and signals against a proxy that fails as it is told to.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AbortedError,
  ClientClosedError,
  ConflictError,
  ConnectionError,
  InternalServerError,
  RateLimitError,
  TimeoutError,
  UnavailableError,
} from '@mesadev/sdk';
import { apiError, InvalidResponseError, type MesaError } from '../dist/esm/errors/index.js';
import { DEFAULT_RETRY, parseRetryAfter, retryDelayMs } from '../dist/esm/http/retry.js';
import { client, mesa, org, rejects, server, unique } from './support/index.js';
import { type Fault, startProxy } from './support/proxy.js';
import { startServer } from './support/server.js';

const proxy = await startProxy(server.origin);
const quick = { baseDelayMs: 1 };
const own = client({ org, apiUrl: proxy.origin, retry: quick, maxRetries: 2 });

test('what may be otherwise the next time is tried again', async () => {
  const passing: Fault[] = [
    'drop',
    'lose',
    'cut',
    { status: 408 },
    { status: 429, headers: { 'retry-after': '0' } },
    { status: 500 },
    { status: 502, body: '<html>' },
    { status: 503 },
    { status: 504 },
    { status: 409, body: '{"error":{"code":"LOCK_CONFLICT","message":"m"}}' },
    { status: 200, body: 'not JSON' },
  ];
  for (const fault of passing) {
    proxy.plan(fault, fault);
    assert.equal((await own.whoami()).org.slug, org, JSON.stringify(fault));
    assert.equal(proxy.seen.length, 3, JSON.stringify(fault));
  }
});

test('what stays as it is is told at once', async () => {
  for (const status of [400, 401, 403, 404, 405, 406, 409, 413, 415, 501, 507]) {
    proxy.plan({ status }, { status });
    await assert.rejects(own.whoami());
    assert.equal(proxy.seen.length, 1, String(status));
  }
});

test('the last failure is thrown when there are no tries left', async () => {
  proxy.plan(
    { status: 503 },
    { status: 500 },
    { status: 503, headers: { 'x-request-id': 'last' } },
  );
  await rejects(own.whoami(), UnavailableError, { attempts: 3, traceId: 'last' });
  proxy.plan({ status: 500 });
  await rejects(own.whoami({ maxRetries: 0 }), InternalServerError, { attempts: 1 });
  proxy.plan(...Array<Fault>(5).fill({ status: 500 }));
  assert.ok(await own.whoami({ maxRetries: 5 }));
  assert.equal(proxy.seen.length, 6);
});

test('a write whose answer was lost happens once', async () => {
  for (const fault of ['lose', 'cut'] as const) {
    const name = unique('once');
    proxy.plan(fault);
    const repo = await own.repos.create({ name });
    const keys = proxy.seen.map(({ headers }) => headers['idempotency-key']);
    assert.equal(keys.length, 2);
    assert.match(String(keys[0]), /^[0-9a-f-]{36}$/);
    assert.equal(keys[1], keys[0]);
    assert.equal((await mesa.repos.get({ repo: name })).id, repo.id);
    proxy.plan(fault);
    assert.deepEqual(await own.repos.delete({ repo: name }), { success: true });
    assert.equal(proxy.seen.length, 2);
  }
});

test('with a private key too, the repeated write is the same request', async () => {
  const { private_key: privateKey } = await mesa.signingKeys.generate();
  const signing = client({ privateKey, apiUrl: proxy.origin, retry: quick });
  const name = unique('once');
  proxy.plan('lose');
  assert.equal((await signing.repos.create({ name })).name, name);
  const [first, second] = proxy.seen.map(({ headers }) => headers.authorization);
  assert.equal(first, second);
});

test('writes carry a key of their own, reads none', async () => {
  proxy.plan();
  const name = unique('keyed');
  const idempotencyKey = unique('mine');
  const first = await own.repos.create({ name }, { idempotencyKey });
  assert.deepEqual(await own.repos.create({ name }, { idempotencyKey }), first);
  await own.repos.update({ repo: name, tags: { a: 'b' } });
  await own.repos.update({ repo: name, tags: { a: 'b' } });
  await own.repos.get({ repo: name });
  const keys = proxy.seen.map(({ headers }) => headers['idempotency-key']);
  assert.deepEqual(keys.slice(0, 2), [idempotencyKey, idempotencyKey]);
  assert.notEqual(keys[2], keys[3]);
  assert.equal(keys[4], undefined);
  const other = own.repos.create({ name: unique('other') }, { idempotencyKey });
  await rejects(other, ConflictError, { code: 'IDEMPOTENCY_MISMATCH' });
});

test('the waits double, are spread, and keep to what the server asks', () => {
  const error = (status: number, retryAfterMs?: number): MesaError =>
    apiError({
      status,
      retryAfterMs,
      code: 'C',
      message: 'm',
      headers: new Headers(),
      body: '',
      method: 'GET',
      url: '',
      attempts: 1,
    });
  const policy = { ...DEFAULT_RETRY, maxRetries: 9 };
  const wait = (failed: number, random: number, of = error(503)) =>
    retryDelayMs(of, failed, policy, random);
  assert.deepEqual([wait(1, 0), wait(1, 1), wait(2, 0), wait(3, 1)], [125, 250, 250, 1000]);
  assert.deepEqual([wait(9, 0), wait(9, 1)], [4000, 8000]);
  assert.deepEqual(
    [wait(10, 0), wait(1, 0, error(404)), wait(1, 0, error(507))],
    [undefined, undefined, undefined],
  );
  assert.deepEqual([wait(1, 0, error(429, 3000)), wait(1, 1, error(429, 3000))], [3062.5, 3125]);
  assert.equal(wait(1, 0, error(429, 61_000)), undefined);
  assert.equal(wait(1, 0, new InvalidResponseError('m')), 125);
  assert.equal(wait(1, 0, new AbortedError('m')), undefined);
});

test('Retry-After is seconds or a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(parseRetryAfter('3', now), 3000);
  assert.equal(parseRetryAfter(' 0 ', now), 0);
  assert.equal(parseRetryAfter('Thu, 01 Jan 2026 00:00:05 GMT', now), 5000);
  assert.equal(parseRetryAfter('Wed, 31 Dec 2025 00:00:00 GMT', now), 0);
  for (const value of [null, '', 'soon', '-1x'])
    assert.equal(parseRetryAfter(value, now), undefined);
});

test('Retry-After is waited for, unless it is too long', async () => {
  proxy.plan({ status: 429, headers: { 'retry-after': '1' } });
  const began = performance.now();
  await own.whoami();
  assert.ok(performance.now() - began >= 1000);
  proxy.plan({ status: 429, headers: { 'retry-after': '3600' } });
  await rejects(own.whoami(), RateLimitError, { retryAfterMs: 3_600_000, attempts: 1 });
});

test('a server that does not answer is left after the time', async () => {
  for (const fault of ['stall', 'hang'] as const) {
    proxy.plan(fault, fault, fault);
    const options = { timeoutMs: 30, maxRetries: 1 };
    await rejects(own.whoami(options), TimeoutError, { timeoutMs: 30, code: 'TIMEOUT' });
    assert.equal(proxy.seen.length, 2);
  }
  proxy.plan('stall');
  assert.ok(await client({ org, apiUrl: proxy.origin, timeoutMs: 1000, retry: quick }).whoami());
  assert.ok(await own.whoami({ timeoutMs: Number.POSITIVE_INFINITY }));
});

test('a signal ends a request, a wait and a call that has not begun', async () => {
  const reason = new Error('enough');
  proxy.plan('stall');
  const during = new AbortController();
  const call = own.whoami({ signal: during.signal });
  while (proxy.seen.length === 0) await new Promise((done) => setTimeout(done, 1));
  during.abort(reason);
  const error = await rejects(call, AbortedError, { code: 'ABORTED', cause: reason });
  assert.equal(error.name, 'AbortError');

  proxy.plan({ status: 503, headers: { 'retry-after': '50' } });
  const waiting = new AbortController();
  const retried = own.whoami({ signal: waiting.signal });
  while (proxy.seen.length === 0) await new Promise((done) => setTimeout(done, 1));
  setTimeout(() => waiting.abort(), 20);
  await rejects(retried, AbortedError);
  assert.equal(proxy.seen.length, 1);

  proxy.plan();
  await rejects(own.repos.list({}, { signal: AbortSignal.abort(reason) }), AbortedError, {
    cause: reason,
  });
  assert.equal(proxy.seen.length, 0);
});

test('one caller who aborts does not end what others wait for', async () => {
  const shared = client({ apiUrl: proxy.origin });
  proxy.plan();
  const abort = new AbortController();
  const calls = [shared.resolveOrg(undefined, { signal: abort.signal }), shared.resolveOrg()];
  abort.abort();
  const [first, second] = await Promise.allSettled(calls);
  assert.ok(first?.status === 'rejected' && first.reason instanceof AbortedError);
  assert.deepEqual(second, { status: 'fulfilled', value: org });
});

test('closing ends what is under way', async () => {
  proxy.plan('stall');
  let pending: Promise<unknown>;
  {
    await using scoped = client({ org, apiUrl: proxy.origin });
    pending = rejects(scoped.whoami(), ClientClosedError, { code: 'CLIENT_CLOSED' });
    while (proxy.seen.length === 0) await new Promise((done) => setTimeout(done, 1));
  }
  await pending;
  const closed = client({ org });
  await closed.close();
  await closed.close();
  await rejects(closed.whoami(), ClientClosedError);
  await rejects(closed.repos.list(), ClientClosedError);
});

test('signals keep nothing of calls that are over', async () => {
  const { signal } = new AbortController();
  let listening = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listening++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listening--;
    remove(...args);
  };
  proxy.plan({ status: 503 });
  await own.whoami({ signal });
  await client({ apiUrl: proxy.origin }).resolveOrg(undefined, { signal });
  assert.equal(listening, 0);
});

test('a stream is as patient as its reader, and not with the server', async () => {
  const options = { timeoutMs: 800, maxRetries: 0 };
  const open = async (fault: Fault, more = {}) => {
    proxy.plan(fault);
    return own.content.stream({ repo: 'r', path: 'p' }, { ...options, ...more });
  };
  const slow = (await open({ status: 200, body: 'abc' })).getReader();
  await new Promise((done) => setTimeout(done, 1000));
  assert.equal(Buffer.from((await slow.read()).value ?? []).toString(), 'abc');
  assert.equal((await slow.read()).done, true);

  const stuck = (await open({ status: 200, body: 'abc', holds: true })).getReader();
  assert.equal((await stuck.read()).value?.length, 3);
  await rejects(stuck.read(), TimeoutError);

  const abort = new AbortController();
  const held: Fault = { status: 200, body: 'abc', holds: true };
  const ended = (await open(held, { signal: abort.signal, timeoutMs: 60_000 })).getReader();
  await ended.read();
  abort.abort();
  await rejects(ended.read(), AbortedError);

  await (await open(held)).cancel();
});

test('bytes that come renew the time, and those that stop end the try', async () => {
  const sent = ['a', 'b', 'c', 'd'];
  const trickle =
    (pieces: string[], ends: boolean): typeof fetch =>
    async (_, init) => {
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          await new Promise((done) => setTimeout(done, 200));
          const piece = pieces.shift();
          if (piece) controller.enqueue(Buffer.from(piece));
          else if (ends) controller.close();
          else init?.signal?.addEventListener('abort', () => controller.error(init.signal?.reason));
        },
      });
      return new Response(body);
    };
  const options = { timeoutMs: 500, maxRetries: 0 };
  const read = (fetch: typeof globalThis.fetch) =>
    client({ org, fetch }).content.getText({ repo: 'r', path: 'p' }, options);
  assert.equal(await read(trickle([...sent], true)), 'abcd');
  await rejects(read(trickle([...sent], false)), TimeoutError);
});

test('no connection at all is tried again and then told', async () => {
  let tries = 0;
  const down: typeof fetch = async () => {
    tries++;
    throw new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') });
  };
  const alone = client({ org, fetch: down, retry: quick });
  const error = await rejects(alone.repos.list(), ConnectionError);
  assert.match(error.message, /ECONNREFUSED$/);
  assert.equal(tries, 4);
});

test('a server that is restarted is waited for', async () => {
  const restarted = await startServer();
  const to = { apiUrl: restarted.origin, apiKey: restarted.adminKey };
  const patient = client({
    ...to,
    org,
    maxRetries: 200,
    retry: { baseDelayMs: 20, maxDelayMs: 200 },
  });
  await restarted.end();
  const made = patient.repos.create({ name: 'waited' });
  await restarted.start();
  assert.equal((await made).name, 'waited');
});
