// Webhook targets, and deliveries as the published verifier takes them.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { MesaWebhookVerificationError } from '@mesadev/sdk';
import { ROOT, base64, change, ok, refused, rejects, repo, sdk, unique } from './support.mjs';

/** A target on this machine; `next()` waits for a delivery. */
async function receiver() {
  const [waiting, arrived] = [[], []];
  const server = createServer((request, response) => {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
      const delivery = { headers: request.headers, body: Buffer.concat(pieces).toString() };
      if (waiting.length > 0) waiting.shift()(delivery);
      else arrived.push(delivery);
      response.writeHead(204).end();
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${server.address().port}/hook`,
    next: () => (arrived.length > 0 ? Promise.resolve(arrived.shift()) : new Promise((done) => waiting.push(done))),
    close: () => new Promise((done) => (server.closeAllConnections(), server.close(done))),
  };
}

const asRequest = ({ headers, body }) =>
  new Request('http://receiver/', { method: 'POST', body, headers: { 'x-mesa-signature': headers['x-mesa-signature'] } });

test('targets are made, read, changed and deleted', async () => {
  const mesa = sdk();
  const made = await mesa.webhookTargets.create({ url: 'https://hooks.example/x', name: 'n' });
  assert.match(made.secret, /^whsec_/);
  assert.deepEqual([made.events, made.repo_ids], [['push'], null]);
  const { secret, ...shown } = made;
  assert.deepEqual(await ok('getWebhookTarget', 200, { path: { webhookTargetId: made.id } }), shown);
  assert.ok((await mesa.webhookTargets.list()).webhook_targets.some((t) => t.id === made.id));
  const one = await repo('hooked');
  const changed = await mesa.webhookTargets.update({ webhookTargetId: made.id, repo_ids: [one.id], name: null });
  assert.deepEqual([changed.repo_ids, changed.name], [[one.id], null]);
  assert.equal((await ok('updateWebhookTarget', 200, { path: { webhookTargetId: made.id }, body: { repo_ids: null } })).repo_ids, null);
  assert.deepEqual(await mesa.webhookTargets.delete({ webhookTargetId: made.id }), { success: true });
  await refused('deleteWebhookTarget', 404, 'WEBHOOK_TARGET_NOT_FOUND', { path: { webhookTargetId: made.id } });
  await rejects(mesa.webhookTargets.create({ url: 'hooks.example' }), 400, 'INVALID_WEBHOOK_URL');
  const again = await ok('createWebhookTarget', 201, { body: { url: 'https://hooks.example/y' } });
  assert.ok((await ok('listWebhookTargets', 200)).webhook_targets.some((t) => t.id === again.id));
  assert.deepEqual(await ok('deleteWebhookTarget', 200, { path: { webhookTargetId: again.id } }), { success: true });
});

/** Every event that this server tells of. */
const EVENTS = [
  'repo.created',
  'repo.updated',
  'change.created',
  'change.evolved',
  'bookmark.created',
  'bookmark.moved',
  'bookmark.merged',
  'bookmark.deleted',
  'repo.deleted',
];

/** Does, in a new repo, something of everything that is told; answers its name. */
async function happen() {
  const name = unique('told');
  const path = { repo: name };
  await ok('createRepo', 201, { body: { name } });
  await ok('updateRepo', 200, { path, body: { tags: { a: 'b' } } });
  const first = await change(path, ROOT, 'first', [{ path: 'f', content: base64('1') }]);
  await ok('updateChange', 200, { path: { ...path, change_id: first.id }, body: { message: 'again' } });
  const second = await change(path, first.id, 'second', [{ path: 'g', content: base64('2') }]);
  await ok('createBookmark', 201, { path, body: { name: 'side', change_id: first.id } });
  await ok('moveBookmark', 200, { path: { ...path, bookmark: 'side' }, body: { change_id: second.id } });
  await ok('mergeBookmark', 200, { path, body: { target: 'main', source: 'side' } });
  await ok('deleteBookmark', 200, { path: { ...path, bookmark: 'side' } });
  await ok('deleteRepo', 200, { path });
  return name;
}

test('deliveries of every event verify, altered ones do not', async () => {
  const target = await receiver();
  try {
    const made = await sdk().webhookTargets.create({ url: target.url, events: EVENTS });
    const name = await happen();
    const mesa = sdk({ webhookSecret: made.secret });
    const seen = [];
    mesa.webhooks.on(EVENTS, (event) => void seen.push(event.type));
    let delivery;
    while (seen.at(-1) !== 'repo.deleted') {
      delivery = await target.next();
      if (JSON.parse(delivery.body).repository.name !== name) continue;
      await mesa.webhooks.receive(asRequest(delivery));
    }
    assert.deepEqual([...new Set(seen)].sort(), [...EVENTS].sort());
    for (const [from, to] of [['repo.deleted', 'repo.created'], [name, `${name}x`], ['}', '} ']]) {
      const altered = { ...delivery, body: delivery.body.replace(from, to) };
      assert.notEqual(altered.body, delivery.body);
      await assert.rejects(mesa.webhooks.receive(asRequest(altered)), MesaWebhookVerificationError);
    }
    const signature = delivery.headers['x-mesa-signature'];
    for (const header of [signature.replace('t=', 't=9'), signature.slice(0, -1), signature.replace(/.$/, (c) => (c === '0' ? '1' : '0')), '']) {
      const altered = { ...delivery, headers: { 'x-mesa-signature': header } };
      await assert.rejects(mesa.webhooks.receive(asRequest(altered)), MesaWebhookVerificationError);
    }
    const stranger = sdk({ webhookSecret: 'whsec_other' });
    await assert.rejects(stranger.webhooks.receive(asRequest(delivery)), MesaWebhookVerificationError);
    await ok('deleteWebhookTarget', 200, { path: { webhookTargetId: made.id } });
  } finally {
    await target.close();
  }
});
