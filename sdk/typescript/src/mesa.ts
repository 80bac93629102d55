import { MesaApiError, OrgResolutionError } from './errors/index.js';
import { fsResource, type MountRepo } from './fs/mount.js';
import type { NativeToken } from './fs/native.js';
import { Api } from './http/api.js';
import { orOver } from './http/deadline.js';
import { Transport } from './http/transport.js';
import { bookmarksResource } from './resources/bookmarks.js';
import { changesResource } from './resources/changes.js';
import { contentResource } from './resources/content.js';
import { diffsResource } from './resources/diffs.js';
import { apiKeysResource, signingKeysResource } from './resources/keys.js';
import { operationsResource } from './resources/operations.js';
import { orgResource, orgsResource } from './resources/org.js';
import { reposResource } from './resources/repos.js';
import { tokensResource } from './resources/tokens.js';
import { webhookTargetsResource } from './resources/webhook-targets.js';
import { type MesaOptions, type Settings, settle } from './settings.js';
import type { RequestOptions } from './types/common.js';
import type { Whoami } from './types/orgs.js';
import { webhooksResource } from './webhooks/receiver.js';

/**
 * A client of one server with one credential.
 *
 * ```ts
 * await using mesa = new Mesa();
 * const repo = await mesa.repos.create({ name: 'agent-workspace' });
 * ```
 *
 * Nothing is sent before the first call. Printing a client shows no secret.
 */
export class Mesa {
  /** The API's address, with `/v1`. */
  readonly apiUrl: string;
  /** Where mounts connect to. */
  readonly vcsUrl: string;

  /** The client's org. */
  readonly org: ReturnType<typeof orgResource>;
  /** All orgs of the server, for its operator. */
  readonly orgs: ReturnType<typeof orgsResource>;
  /** Repos and the git remotes they follow. */
  readonly repos: ReturnType<typeof reposResource>;
  /** Files and directories. */
  readonly content: ReturnType<typeof contentResource>;
  /** Names for changes. */
  readonly bookmarks: ReturnType<typeof bookmarksResource>;
  /** What is written. */
  readonly changes: ReturnType<typeof changesResource>;
  /** What was done to a change, and taking it back. */
  readonly operations: ReturnType<typeof operationsResource>;
  /** Differences between changes. */
  readonly diffs: ReturnType<typeof diffsResource>;
  /** API keys. */
  readonly apiKeys: ReturnType<typeof apiKeysResource>;
  /** Public keys of clients that sign their own tokens. */
  readonly signingKeys: ReturnType<typeof signingKeysResource>;
  /** Tokens signed here. */
  readonly tokens: ReturnType<typeof tokensResource>;
  /** Where events are delivered. */
  readonly webhookTargets: ReturnType<typeof webhookTargetsResource>;
  /** Takes deliveries. */
  readonly webhooks: ReturnType<typeof webhooksResource>;
  /** Mounts in this process. */
  readonly fs: ReturnType<typeof fsResource>;

  // Private, so that no secret is shown when a client is printed.
  readonly #settings: Settings;
  readonly #transport: Transport;
  readonly #api: Api;
  #identity: Promise<Whoami> | undefined;

  constructor(options: MesaOptions = {}) {
    const settings = settle(options, process.env);
    const resolveOrg = (org?: string, options?: RequestOptions) => this.resolveOrg(org, options);
    this.#settings = settings;
    this.#transport = new Transport(settings);
    const api = new Api(this.#transport, resolveOrg);
    this.#api = api;
    this.apiUrl = settings.apiUrl;
    this.vcsUrl = settings.vcsUrl;
    this.org = orgResource(api);
    this.orgs = orgsResource(api);
    this.repos = reposResource(api);
    this.content = contentResource(api);
    this.bookmarks = bookmarksResource(api);
    this.changes = changesResource(api);
    this.operations = operationsResource(api);
    this.diffs = diffsResource(api);
    this.apiKeys = apiKeysResource(api);
    this.signingKeys = signingKeysResource(api, resolveOrg);
    this.tokens = tokensResource({
      credential: settings.credential,
      identity: (options) => this.#whoIs(options),
      resolveOrg,
    });
    this.webhookTargets = webhookTargetsResource(api);
    this.webhooks = webhooksResource(settings.webhookSecrets);
    this.fs = fsResource({
      apiUrl: settings.apiUrl,
      vcsUrl: settings.vcsUrl,
      resolveOrg: () => this.resolveOrg(),
      token: (repos, ttl) => this.#mountToken(repos, ttl),
      userAgent: settings.userAgent,
    });
  }

  /** The API key this client was made with; undefined with another kind of credential. */
  get apiKey(): string | undefined {
    const { credential } = this.#settings;
    return credential.kind === 'api-key' ? credential.secret : undefined;
  }

  /** Whose credential this is. */
  whoami(options?: RequestOptions): Promise<Whoami> {
    return this.#api.send('GET', '/whoami', {}, options);
  }

  /** The slug of the org given, or of the client's: asked for once if nobody named it. */
  async resolveOrg(org?: string, options?: RequestOptions): Promise<string> {
    const known = org ?? this.#settings.org;
    if (known !== undefined) return known;
    try {
      return (await this.#whoIs(options)).org.slug;
    } catch (cause) {
      if (!(cause instanceof MesaApiError)) throw cause;
      const why = `The org is not named and the server does not tell it (${cause.message})`;
      throw new OrgResolutionError(why, { cause });
    }
  }

  /** Ends what is under way; calls made afterwards throw `ClientClosedError`. */
  async close(): Promise<void> {
    this.#transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** One request for all callers at once. A failed one is not kept: the next caller asks again. */
  #whoIs(options?: RequestOptions): Promise<Whoami> {
    this.#identity ??= this.whoami().catch((error) => {
      this.#identity = undefined;
      throw error;
    });
    return orOver(this.#identity, this.#transport.ends(options));
  }

  async #mountToken(repos: MountRepo[], ttl: number | undefined): Promise<NativeToken> {
    const { credential } = this.#settings;
    // Its end is in it; nobody here can make another.
    if (credential.kind === 'access-token') return { token: credential.token };
    const names = repos.map(({ name }) => name);
    const level = (repo: MountRepo) => (repo.readOnly ? 'read-repo' : 'write-repo');
    const made =
      credential.kind === 'private-key'
        ? await this.tokens.create({
            access: Object.fromEntries(repos.map((repo) => [repo.name, level(repo)] as const)),
            ttl_seconds: ttl,
          })
        : await this.tokens.create({ scopes: ['read', 'write'], repos: names, ttl_seconds: ttl });
    return { token: made.token, expiresAt: Date.parse(made.expires_at) };
  }
}
