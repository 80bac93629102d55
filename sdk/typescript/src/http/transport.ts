import { randomUUID } from 'node:crypto';
import { ConnectionError, MesaError } from '../errors/index.js';
import type { RequestOptions } from '../types/common.js';
import { type Asked, json, refusal } from './answer.js';
import { Deadline, type Ends, pause, throwIfOver } from './deadline.js';
import { type RetryPolicy, retryDelayMs } from './retry.js';

/** A request without what is the same for all of them. */
export interface Call {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Below the API's address, with the query. */
  path: string;
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
}

/** What all requests of a client share. */
export interface TransportSettings {
  /** With `/v1`, without a slash at the end. */
  apiUrl: string;
  fetch: typeof globalThis.fetch;
  userAgent: string;
  /** Answers what `Authorization: Bearer` is to carry. */
  bearer: () => string;
  /** Of each try. */
  timeoutMs: number;
  retry: RetryPolicy;
}

/** Reads a success before the try is over. */
type Reader<T> = (response: Response, asked: Asked, deadline: Deadline) => Promise<T>;

/** Sends requests: the credential, times, retries and errors are here and nowhere else. */
export class Transport {
  readonly #closed = new AbortController();

  constructor(private readonly settings: TransportSettings) {}

  /** Ends what is under way; nothing is sent afterwards. */
  close(): void {
    this.#closed.abort();
  }

  /** What may end a call with these options. */
  ends(options: RequestOptions = {}): Ends {
    return { signal: options.signal, closed: this.#closed.signal };
  }

  /** A JSON answer. */
  json<T>(call: Call, options?: RequestOptions): Promise<T> {
    return this.#send(call, options, json<T>);
  }

  /** The bytes of an answer. The time limit holds between one piece and the next. */
  bytes(call: Call, options?: RequestOptions): Promise<Uint8Array> {
    return this.#send(call, options, async (response, _, deadline) => {
      const pieces: Uint8Array[] = [];
      for await (const piece of response.body ?? []) {
        pieces.push(piece);
        deadline.extend();
      }
      return new Uint8Array(Buffer.concat(pieces));
    });
  }

  /** The text of an answer. */
  text(call: Call, options?: RequestOptions): Promise<string> {
    return this.#send(call, options, (r) => r.text());
  }

  /**
   * The bytes of an answer as they come. Retries end with the first of them; afterwards the time
   * limit holds between one piece and the next.
   */
  stream(call: Call, options?: RequestOptions): Promise<ReadableStream<Uint8Array>> {
    return this.#send(call, options, async (r, asked, d) => pieces(r, asked, d), true);
  }

  async #send<T>(
    call: Call,
    options: RequestOptions = {},
    read: Reader<T>,
    keepsOpen = false,
  ): Promise<T> {
    const ends = this.ends(options);
    throwIfOver(ends);
    const { retry, timeoutMs } = this.settings;
    const policy = { ...retry, maxRetries: options.maxRetries ?? retry.maxRetries };
    const url = this.settings.apiUrl + call.path;
    // Made once: the server tells a repeated write by its key and opens the kept answer with the
    // credential of the first try.
    const init = this.#init(call, options);
    for (let attempts = 1; ; attempts++) {
      const asked = { method: call.method, url, attempts };
      const deadline = new Deadline(what(asked), options.timeoutMs ?? timeoutMs, ends);
      let over = true;
      try {
        const response = await this.settings.fetch(url, { ...init, signal: deadline.signal });
        if (!response.ok) throw await refusal(response, asked);
        const answer = await read(response, asked, deadline);
        over = !keepsOpen;
        return answer;
      } catch (cause) {
        const error = asMesaError(cause, asked, deadline);
        const delayMs = retryDelayMs(error, attempts, policy, Math.random());
        if (delayMs === undefined) throw error;
        deadline.release();
        await pause(delayMs, ends);
      } finally {
        if (over) deadline.release();
      }
    }
  }

  #init(call: Call, options: RequestOptions): RequestInit {
    const headers: Record<string, string> = {
      accept: 'application/json',
      'user-agent': this.settings.userAgent,
      authorization: `Bearer ${this.settings.bearer()}`,
      ...call.headers,
    };
    const init: RequestInit = { method: call.method, headers };
    if (call.body !== undefined) {
      headers['content-type'] = 'application/json';
      init.body = JSON.stringify(call.body);
    }
    if (call.method !== 'GET') {
      headers['idempotency-key'] = options.idempotencyKey ?? randomUUID();
      // Following one would make a GET of a write.
      init.redirect = 'manual';
    }
    return init;
  }
}

const what = ({ method, url }: Asked): string => `${method} ${url.split('?')[0]}`;

/** What `fetch` and reading throw, as errors of ours. */
function asMesaError(cause: unknown, asked: Asked, deadline: Deadline): MesaError {
  if (deadline.reason) return deadline.reason;
  if (cause instanceof MesaError) return cause;
  // `fetch failed` says nothing; what it was is in the cause.
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const why = inner instanceof Error ? inner.message || inner.name : String(inner);
  return new ConnectionError(`${what(asked)}: ${why}`, { cause });
}

/** A response's body whose errors are ours and whose end releases the deadline. */
function pieces(response: Response, asked: Asked, deadline: Deadline): ReadableStream<Uint8Array> {
  const reader = response.body?.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        deadline.extend();
        const { done, value } = (await reader?.read()) ?? { done: true };
        deadline.rest();
        if (!done) return controller.enqueue(value);
        deadline.release();
        controller.close();
      } catch (cause) {
        const error = asMesaError(cause, asked, deadline);
        deadline.release();
        controller.error(error);
      }
    },
    async cancel(reason) {
      deadline.release();
      await reader?.cancel(reason);
    },
  });
}
