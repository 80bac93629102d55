// Lists: pages, iteration over all of them, and what a broken server may answer.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { AbortedError, type ApiKey, BadRequestError, InvalidResponseError } from '@mesadev/sdk';
import { client, mesa, org, rejects, unique } from './support/index.js';

const query = unique('paged');
/** In the server's order. */
let names: (string | null)[] = [];
before(async () => {
  for (let n = 0; n < 5; n++) await mesa.apiKeys.create({ name: `${query}-${n}` });
  names = shown((await mesa.apiKeys.list({ query })).api_keys);
  assert.equal(names.length, 5);
});
const shown = (keys: ApiKey[]) => keys.map((key) => key.name);

test('a page is the answer as it came', async () => {
  const page = await mesa.apiKeys.list({ query, limit: 2 });
  assert.deepEqual(Object.keys(page).sort(), ['api_keys', 'has_more', 'next_cursor']);
  assert.deepEqual(shown(page.api_keys), names.slice(0, 2));
  assert.ok(page.has_more && page.next_cursor);
  assert.deepEqual(JSON.parse(JSON.stringify(page)), page);
  const next = await mesa.apiKeys.list({ query, limit: 2, cursor: page.next_cursor });
  assert.deepEqual(shown(next.api_keys), names.slice(2, 4));
});

test('pages lead to the next one', async () => {
  const first = await mesa.apiKeys.list({ query, limit: 3 });
  const second = await first.nextPage();
  assert.deepEqual(shown(second?.api_keys ?? []), names.slice(3));
  assert.equal(await second?.nextPage(), null);
});

test('a list is iterated, from any page on', async () => {
  const late = `${query}-late`;
  const seen: ApiKey[] = [];
  for await (const key of mesa.apiKeys.list({ query, limit: 2 })) {
    seen.push(key);
    // Made meanwhile, it neither hides nor repeats another.
    if (seen.length === 2) await mesa.apiKeys.create({ name: late });
  }
  assert.deepEqual(
    shown(seen).filter((name) => name !== late),
    names,
  );
  const later: ApiKey[] = [];
  const page = await (await mesa.apiKeys.list({ query, limit: 3 })).nextPage();
  assert.ok(page);
  for await (const key of page) later.push(key);
  assert.deepEqual(
    shown(later).filter((name) => name !== late),
    names.slice(3),
  );
});

test('a list is iterated by pages', async () => {
  const sizes: number[] = [];
  for await (const page of mesa.apiKeys.list({ query, limit: 4 }).pages())
    sizes.push(page.api_keys.length);
  assert.deepEqual(sizes, [4, 2]);
});

test('pages are asked for when they are wanted', async () => {
  let asked = 0;
  const counting: typeof fetch = (input, init) => {
    asked++;
    return fetch(input, init);
  };
  const own = client({ org, fetch: counting });
  for await (const key of own.apiKeys.list({ query, limit: 1 })) {
    if (key.name === names[1]) break;
  }
  assert.equal(asked, 2);
});

test('a signal ends an iteration', async () => {
  const abort = new AbortController();
  const seen: ApiKey[] = [];
  const all = async () => {
    for await (const key of mesa.apiKeys.list({ query, limit: 1 }, { signal: abort.signal })) {
      seen.push(key);
      abort.abort();
    }
  };
  await rejects(all(), AbortedError);
  assert.equal(seen.length, 1);
});

test('a wrong cursor and a wrong limit are refused', async () => {
  await rejects(mesa.repos.list({ cursor: '!' }), BadRequestError, { code: 'INVALID_CURSOR' });
  await rejects(mesa.repos.list({ limit: 0 }), BadRequestError);
});

test('answers that would never end, and such that are no lists, are refused', async () => {
  const answering = (body: object) =>
    client({ org, maxRetries: 0, fetch: async () => Response.json(body) });
  const looping = answering({ repos: [], has_more: true, next_cursor: 'x' });
  const all = async () => {
    for await (const _ of looping.repos.list());
  };
  await rejects(all(), InvalidResponseError);
  await rejects(answering({}).repos.list(), InvalidResponseError);
});
