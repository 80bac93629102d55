// A proxy in front of a server that fails as it is told to.
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { after } from 'node:test';

/** What is done with one request. */
export type Fault =
  /** Forwarded. */
  | 'pass'
  /** The connection ends before the server sees the request. */
  | 'drop'
  /** The server does it, and the connection ends before the answer. */
  | 'lose'
  /** The server does it, and half of the answer comes. */
  | 'cut'
  /** The head of the answer comes, and nothing more. */
  | 'hang'
  /** Nothing comes. */
  | 'stall'
  /** The proxy answers by itself, and does not end it if it holds it. */
  | { status: number; headers?: Record<string, string>; body?: string; holds?: boolean };

/** A request as it was seen. */
export interface Seen {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
}

export interface Proxy {
  /** Without `/v1`. */
  origin: string;
  /** All requests so far. */
  seen: Seen[];
  /** What to do with the next requests; those after them pass. */
  plan: (...faults: Fault[]) => void;
}

/** Starts a proxy; it ends with the tests. */
export async function startProxy(target: string): Promise<Proxy> {
  const seen: Seen[] = [];
  let planned: Fault[] = [];
  const server = createServer(async (incoming, outgoing) => {
    const pieces: Buffer[] = [];
    for await (const piece of incoming) pieces.push(piece);
    const body = Buffer.concat(pieces);
    const { method = '', url = '', headers } = incoming;
    seen.push({ method, url, headers, body: body.toString() });
    await answer(planned.shift() ?? 'pass', { target, incoming, body, outgoing });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(address && typeof address === 'object');
  const plan = (...faults: Fault[]) => {
    planned = faults;
    seen.length = 0;
  };
  return { origin: `http://127.0.0.1:${address.port}`, seen, plan };
}

interface Exchange {
  target: string;
  incoming: IncomingMessage;
  body: Buffer;
  outgoing: ServerResponse;
}

async function answer(fault: Fault, exchange: Exchange): Promise<void> {
  const { incoming, outgoing } = exchange;
  if (fault === 'stall') return;
  if (fault === 'drop') {
    incoming.socket.destroy();
    return;
  }
  if (typeof fault === 'object') {
    outgoing.writeHead(fault.status, fault.headers);
    outgoing.write(fault.body ?? '');
    if (!fault.holds) outgoing.end();
    return;
  }
  const { status, headers, body } = await forward(exchange);
  if (fault === 'lose') {
    incoming.socket.destroy();
    return;
  }
  outgoing.writeHead(status, headers);
  if (fault === 'hang') {
    outgoing.flushHeaders();
  } else if (fault === 'cut') {
    outgoing.write(body.subarray(0, body.length / 2), () => incoming.socket.destroy());
  } else {
    outgoing.end(body);
  }
}

function forward({ target, incoming, body }: Exchange) {
  const { method, url, headers } = incoming;
  return new Promise<{ status: number; headers: IncomingMessage['headers']; body: Buffer }>(
    (done, fail) => {
      const onward = request(target + url, { method, headers, agent: false }, async (response) => {
        const pieces: Buffer[] = [];
        for await (const piece of response) pieces.push(piece);
        const { statusCode = 0, headers } = response;
        done({ status: statusCode, headers, body: Buffer.concat(pieces) });
      });
      onward.once('error', fail);
      onward.end(body);
    },
  );
}
