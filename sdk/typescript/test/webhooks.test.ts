// Webhook targets, real deliveries, and what a receiver must refuse.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { mock, test } from 'node:test';
import {
  BadRequestError,
  InvalidOptionsError,
  type MesaOptions,
  MesaWebhookVerificationError,
  MissingWebhookSecretError,
  NotFoundError,
  SIGNATURE_HEADER,
  verifyWebhook,
  type WebhookEvent,
  type WebhookRefusal,
} from '@mesadev/sdk';
import { client, makeRepo, mesa, rejects, unique } from './support/index.js';
import { eventually } from './support/server.js';

test('targets are made, read, changed and deleted', async () => {
  const { secret, ...made } = await mesa.webhookTargets.create({
    url: 'https://hooks.example/x',
    name: 'n',
  });
  assert.match(secret, /^whsec_/);
  assert.deepEqual([made.events, made.repo_ids], [['push'], null]);
  const at = { webhookTargetId: made.id };
  assert.deepEqual(await mesa.webhookTargets.get(at), made);
  const listed = [];
  for await (const target of mesa.webhookTargets.list({ limit: 1 })) listed.push(target.id);
  assert.ok(listed.includes(made.id));
  const { id } = await makeRepo('hooked');
  const changed = await mesa.webhookTargets.update({
    ...at,
    repo_ids: [id],
    name: null,
    events: ['repo.updated'],
  });
  assert.deepEqual(
    [changed.repo_ids, changed.name, changed.events],
    [[id], null, ['repo.updated']],
  );
  assert.equal((await mesa.webhookTargets.update({ ...at, repo_ids: null })).repo_ids, null);
  assert.deepEqual(await mesa.webhookTargets.delete(at), { success: true });
  await rejects(mesa.webhookTargets.get(at), NotFoundError);
  await rejects(mesa.webhookTargets.create({ url: 'hooks.example' }), BadRequestError);
});

/** A receiver as users build one: whatever arrives goes through `receive`. */
async function receiver(own: { webhooks: { receive: (request: Request) => Promise<unknown> } }) {
  const server = createServer(async (incoming, outgoing) => {
    const pieces: Buffer[] = [];
    for await (const piece of incoming) pieces.push(piece);
    const headers = new Headers(incoming.headers as Record<string, string>);
    const request = new Request('http://receiver/', {
      method: 'POST',
      headers,
      body: Buffer.concat(pieces),
    });
    const status = await own.webhooks.receive(request).then(
      () => 204,
      () => 400,
    );
    outgoing.writeHead(status).end();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  assert.ok(address && typeof address === 'object');
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${address.port}/hook`, close };
}

test('real deliveries are verified, dispatched and told again', async () => {
  const options: MesaOptions = {};
  const seen: WebhookEvent[] = [];
  const all: string[] = [];
  let own = client({ webhookSecret: 'whsec_not_known_yet' });
  const target = await receiver({
    webhooks: { receive: (request) => own.webhooks.receive(request) },
  });
  const events = ['repo.created', 'repo.updated', 'repo.deleted'] as const;
  const made = await mesa.webhookTargets.create({ url: target.url, events: [...events] });
  try {
    options.webhookSecret = ['whsec_old', made.secret];
    own = client(options);
    own.webhooks.on([...events], (event) => void seen.push(event));
    own.webhooks.on('*', async (event) => void all.push(event.type));
    const off = own.webhooks.on('repo.updated', ({ data }) => {
      assert.deepEqual([data.before.tags, data.after.tags], [{}, { a: 'b' }]);
    });
    const name = unique('told');
    const { id } = await mesa.repos.create({ name });
    await mesa.repos.update({ repo: name, tags: { a: 'b' } });
    await mesa.repos.delete({ repo: name });
    const ours = () => seen.filter(({ repository }) => repository?.id === id);
    await eventually('three deliveries', async () => ours().length === 3);
    off();
    assert.deepEqual(
      ours().map(({ type }) => type),
      events,
    );
    assert.ok(events.every((type) => all.includes(type)));
    const { deliveries } = await mesa.webhookTargets.deliveries({ webhookTargetId: made.id });
    assert.ok(deliveries.every(({ attempts }) => attempts.every(({ status }) => status === 204)));
    const last = deliveries.find(
      ({ event, repo_id }) => event === 'repo.deleted' && repo_id === id,
    );
    assert.ok(last);
    const again = await mesa.webhookTargets.redeliver({
      webhookTargetId: made.id,
      delivery: last.id,
    });
    assert.deepEqual([again.event_id, again.redelivery_of], [last.event_id, last.id]);
    await eventually('the repeated delivery', async () => ours().length === 4);
    assert.equal(ours()[3]?.id, ours()[2]?.id);
  } finally {
    await mesa.webhookTargets.delete({ webhookTargetId: made.id });
    target.close();
  }
});

const SECRET = 'whsec_x';
const sign = (body: string, seconds: number, secret = SECRET) =>
  `t=${seconds},sha256=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`;
const now = () => Math.floor(Date.now() / 1000);
const EVENT = JSON.stringify({
  id: 'e',
  type: 'repo.created',
  occurred_at: '',
  data: {},
  repository: null,
});

function refused(
  reason: WebhookRefusal,
  body: string,
  signature: string | null,
  secret: string | string[] = SECRET,
) {
  assert.throws(
    () => verifyWebhook({ body, signature, secret }),
    (error) => error instanceof MesaWebhookVerificationError && error.reason === reason,
    `${reason}: ${signature}`,
  );
}

test('the signature is the one of the contract', () => {
  mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 });
  try {
    const digest = 'be8cb8325f2202445260a855532f967e30ad2a9394ce28da66ee02880ddcb661';
    assert.equal(sign('{}', 1_700_000_000), `t=1700000000,sha256=${digest}`);
    // Signed rightly, and then no event.
    refused('event_malformed', '{}', `t=1700000000,sha256=${digest}`);
  } finally {
    mock.timers.reset();
  }
});

test('what is not signed, not now or no event is refused', () => {
  refused('signature_missing', EVENT, null);
  for (const header of [
    'x',
    't=1',
    't=1,sha256=zz',
    `t=x,sha256=${'a'.repeat(64)}`,
    `t=1,${sign(EVENT, now())}`,
  ]) {
    refused('signature_malformed', EVENT, header);
  }
  refused('signature_mismatch', `${EVENT} `, sign(EVENT, now()));
  refused('signature_mismatch', EVENT, sign(EVENT, now(), 'whsec_other'));
  refused('signature_mismatch', EVENT, sign(EVENT, now()).replace(/t=\d+/, `t=${now() + 1}`));
  refused('timestamp_out_of_tolerance', EVENT, sign(EVENT, now() - 400));
  refused('timestamp_out_of_tolerance', EVENT, sign(EVENT, now() + 400));
  for (const body of [
    '',
    'x',
    'null',
    '[]',
    '{"id":"e","type":"push"}',
    '{"id":1,"type":"push","data":{}}',
  ]) {
    refused('event_malformed', body, sign(body, now()));
  }
  assert.throws(
    () => verifyWebhook({ body: EVENT, signature: sign(EVENT, now()), secret: '' }),
    MissingWebhookSecretError,
  );
});

test('what is signed now is taken, as text and as bytes', () => {
  const signature = sign(EVENT, now());
  assert.equal(verifyWebhook({ body: EVENT, signature, secret: SECRET }).type, 'repo.created');
  assert.equal(
    verifyWebhook({ body: Buffer.from(EVENT), signature, secret: ['', 'old', SECRET] }).id,
    'e',
  );
  const old = { body: EVENT, signature: sign(EVENT, now() - 400), secret: SECRET };
  assert.ok(verifyWebhook({ ...old, toleranceSeconds: 500 }));
  const other = EVENT.replace('repo.created', 'repo.sung');
  assert.equal(
    verifyWebhook({ body: other, signature: sign(other, now()), secret: SECRET }).type as string,
    'repo.sung',
  );
});

const asRequest = (body: string, signature = sign(body, now())) =>
  new Request('http://receiver/', {
    method: 'POST',
    body,
    headers: { [SIGNATURE_HEADER]: signature },
  });

test('handlers are called in order, and a failing one refuses the delivery', async () => {
  const own = client({ webhookSecret: SECRET });
  const order: number[] = [];
  own.webhooks.on('repo.created', async () => {
    await new Promise((done) => setTimeout(done, 5));
    order.push(1);
  });
  own.webhooks.on('repo.deleted', () => void order.push(9));
  own.webhooks.on(['push', 'repo.created'], () => void order.push(2));
  assert.equal((await own.webhooks.receive(asRequest(EVENT))).id, 'e');
  assert.deepEqual(order, [1, 2]);
  own.webhooks.on('repo.created', () => {
    throw new TypeError('mine');
  });
  await rejects(own.webhooks.receive(asRequest(EVENT)), TypeError);
  assert.equal(own.webhooks.verify(EVENT, sign(EVENT, now())).id, 'e');
});

test('a stranger is refused, and no endless body is read', async () => {
  const own = client({ webhookSecret: SECRET });
  const called: unknown[] = [];
  own.webhooks.on('*', (event) => void called.push(event));
  await rejects(
    own.webhooks.receive(asRequest(EVENT, 't=1,sha256=')),
    MesaWebhookVerificationError,
  );
  await rejects(
    own.webhooks.receive(new Request('http://r/', { method: 'POST' })),
    MesaWebhookVerificationError,
  );
  let sent = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      sent += 1 << 20;
      controller.enqueue(new Uint8Array(1 << 20));
    },
  });
  const request = new Request('http://r/', {
    method: 'POST',
    body: endless,
    duplex: 'half',
  } as RequestInit);
  const error = await rejects(own.webhooks.receive(request), MesaWebhookVerificationError);
  assert.equal(error.reason, 'body_too_large');
  assert.ok(sent < 32 << 20);
  assert.deepEqual(called, []);
  const used = asRequest(EVENT);
  await used.text();
  await rejects(own.webhooks.receive(used), InvalidOptionsError);
  await rejects(client().webhooks.receive(asRequest(EVENT)), MissingWebhookSecretError);
});
