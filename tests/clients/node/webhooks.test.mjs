// Webhook targets, and deliveries as the published verifier takes them.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { MesaWebhookVerificationError } from '@mesadev/sdk';
import { driven, ok, refused, rejects, repo, sdk, unique } from './support.mjs';

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

test('deliveries verify, altered ones do not', async () => {
  const target = await receiver();
  try {
    const events = ['repo.created', 'repo.updated', 'repo.deleted'];
    const made = await sdk().webhookTargets.create({ url: target.url, events });
    const name = unique('told');
    await ok('createRepo', 201, { body: { name } });
    await ok('updateRepo', 200, { path: { repo: name }, body: { tags: { a: 'b' } } });
    await ok('deleteRepo', 200, { path: { repo: name } });
    const mesa = sdk({ webhookSecret: made.secret });
    const seen = [];
    mesa.webhooks.on(events, (event) => seen.push(event.type));
    driven.sdk.add('webhooks.on');
    let delivery;
    while (seen.length < events.length) {
      delivery = await target.next();
      if (JSON.parse(delivery.body).repository.name !== name) continue;
      await mesa.webhooks.receive(asRequest(delivery));
    }
    assert.deepEqual(seen, events);
    const altered = { ...delivery, body: delivery.body.replace('repo.deleted', 'repo.created') };
    await assert.rejects(mesa.webhooks.receive(asRequest(altered)), MesaWebhookVerificationError);
    const stranger = sdk({ webhookSecret: 'whsec_other' });
    await assert.rejects(stranger.webhooks.receive(asRequest(delivery)), MesaWebhookVerificationError);
    await ok('deleteWebhookTarget', 200, { path: { webhookTargetId: made.id } });
  } finally {
    await target.close();
  }
});
