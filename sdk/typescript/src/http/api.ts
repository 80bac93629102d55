import { checkIdempotencyKey, checkTimeout, checkTries } from '../settings.js';
import type { OrgInput, RequestOptions } from '../types/common.js';
import { type PageBody, type PageRequest, startList } from './page.js';
import { fillRoute, queryString } from './route.js';
import type { Call, Transport } from './transport.js';

/** Answers the org's slug: the one given, or the client's. */
export type ResolveOrg = (org: string | undefined, options?: RequestOptions) => Promise<string>;

/**
 * The contract's routes, called with one object: its fields go to the places of the route, what is
 * left becomes the query of a read or the body of a write.
 */
export class Api {
  constructor(
    readonly transport: Transport,
    private readonly resolveOrg: ResolveOrg,
  ) {}

  /** A JSON answer. */
  async send<T>(
    method: Call['method'],
    route: string,
    input: object = {},
    options?: RequestOptions,
  ): Promise<T> {
    return this.transport.json<T>(await this.call(method, route, input, options), options);
  }

  /** A list's pages. */
  list<K extends string, T>(
    key: K,
    route: string,
    input: { cursor?: string | undefined } = {},
    options?: RequestOptions,
  ): PageRequest<K, T> {
    const fetch = (cursor: string | undefined) =>
      this.send<PageBody<K, T>>('GET', route, { ...input, cursor }, options);
    return startList(key, fetch, input.cursor);
  }

  /** What is sent for a route and an input. */
  async call(
    method: Call['method'],
    route: string,
    input: OrgInput,
    options?: RequestOptions,
  ): Promise<Call> {
    checkTimeout(options?.timeoutMs);
    checkTries(options?.maxRetries);
    checkIdempotencyKey(options?.idempotencyKey);
    const { org, ...others } = input;
    const named = route.includes('{org}') ? { org: await this.resolveOrg(org, options) } : {};
    const { path, rest } = fillRoute(route, { ...others, ...named });
    if (method === 'GET') return { method, path: path + queryString(rest) };
    return method === 'DELETE' ? { method, path } : { method, path, body: rest };
  }
}
