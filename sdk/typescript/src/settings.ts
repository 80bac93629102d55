import type { TokenAuthor } from './auth/claims.js';
import { bearerOf, type Credential, findCredential } from './auth/credential.js';
import { InvalidApiUrlError, InvalidOptionsError } from './errors/index.js';
import { DEFAULT_RETRY, type RetryPolicy } from './http/retry.js';
import type { TransportSettings } from './http/transport.js';
import { VERSION } from './version.js';

/** How to reach a server, and as whom. All of it can come from the environment. */
export interface MesaOptions {
  /** `mesa_...`; `MESA_API_KEY` when no credential is given. */
  apiKey?: string | undefined;
  /** A token that somebody else signed; `MESA_ACCESS_TOKEN` when no credential is given. */
  accessToken?: string | undefined;
  /** `mesa_private_key_...`; `MESA_PRIVATE_KEY` when no credential is given. */
  privateKey?: string | undefined;
  /** Of a private key: whom the commits it makes are by. */
  authors?: TokenAuthor[] | undefined;
  /**
   * The server's address, with or without `/v1`. When absent `MESA_API_URL`, then
   * `MESA_SERVICE_DOMAIN` (`https://api.<domain>`), then `http://127.0.0.1:7117`.
   */
  apiUrl?: string | URL | undefined;
  /** Where mounts connect to; the origin of `apiUrl` when absent. */
  vcsUrl?: string | URL | undefined;
  /** Slug of the org; `MESA_ORG` when absent, else the credential's. */
  org?: string | undefined;
  /** Used for every request in place of the global one: for proxies, certificates, tests. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Put behind this package's own name in `User-Agent`. */
  userAgent?: string | undefined;
  /** Secret of the webhook target, or several while one is replaced; `MESA_WEBHOOK_SECRET`. */
  webhookSecret?: string | string[] | undefined;
  /** For each try, in milliseconds; 60000 when absent, `Infinity` = only the limits of `fetch`. */
  timeoutMs?: number | undefined;
  /** Tries after the first; 3 when absent. */
  maxRetries?: number | undefined;
  /** How long to wait between tries. */
  retry?: Partial<RetryPolicy> | undefined;
}

/** Options and environment, checked. */
export interface Settings extends TransportSettings {
  credential: Credential;
  vcsUrl: string;
  /** As far as it is known without asking. */
  org: string | undefined;
  webhookSecrets: string[];
}

const DEFAULT_API_URL = 'http://127.0.0.1:7117';
const DEFAULT_TIMEOUT_MS = 60_000;
/** Node's timers run off at once above this. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

type Environment = Record<string, string | undefined>;

/** Settles what the caller said and what the environment says. */
export function settle(options: MesaOptions, env: Environment): Settings {
  const credential = findCredential(options, env);
  const apiUrl = address(options.apiUrl ?? fromEnvironment(env));
  const retry = { ...DEFAULT_RETRY, ...defined(options.retry) };
  if (options.maxRetries !== undefined) retry.maxRetries = options.maxRetries;
  checkTries(retry.maxRetries);
  checkTimeout(options.timeoutMs);
  const secret = options.webhookSecret ?? blankless(env['MESA_WEBHOOK_SECRET']);
  return {
    apiUrl: `${apiUrl}/v1`,
    vcsUrl: options.vcsUrl === undefined ? new URL(apiUrl).origin : address(options.vcsUrl),
    credential,
    bearer: bearerOf(credential, options.authors),
    org: orgOf(options.org, credential) ?? blankless(env['MESA_ORG']),
    // Looked up at every call, so that a replaced global (tests, agents' proxies) is used.
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    userAgent: userAgent(options.userAgent),
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    retry,
    webhookSecrets: secret === undefined ? [] : [secret].flat(),
  };
}

/** Refuses a time that no timer can hold. */
export function checkTimeout(ms: number | undefined): void {
  if (ms === undefined || ms === Number.POSITIVE_INFINITY) return;
  if (ms > 0 && ms <= TIMEOUT_MS_MAX) return;
  throw new InvalidOptionsError(`timeoutMs must be from 1 to ${TIMEOUT_MS_MAX}, or Infinity`);
}

/** Refuses a number of retries that is none. */
export function checkTries(tries: number | undefined): void {
  if (tries === undefined || (Number.isInteger(tries) && tries >= 0)) return;
  throw new InvalidOptionsError('maxRetries must be a whole number');
}

/** Refuses a key that no header can hold or that the server does not take. */
export function checkIdempotencyKey(key: string | undefined): void {
  if (key === undefined || /^[!-~]{1,255}$/.test(key)) return;
  throw new InvalidOptionsError('idempotencyKey must be 1 to 255 printable ASCII characters');
}

function userAgent(suffix: string | undefined): string {
  if (suffix !== undefined && !/^[ -~]*$/.test(suffix)) {
    throw new InvalidOptionsError('userAgent must be printable ASCII characters');
  }
  return `mesa-sdk-ts/${VERSION}${suffix ? ` ${suffix}` : ''}`;
}

function fromEnvironment(env: Environment): string {
  const domain = blankless(env['MESA_SERVICE_DOMAIN']);
  const ofDomain = domain === undefined ? DEFAULT_API_URL : `https://api.${domain}`;
  return blankless(env['MESA_API_URL']) ?? ofDomain;
}

/** An address without `/v1` and without a slash at the end. */
function address(given: string | URL): string {
  const text = String(given).trim();
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new InvalidApiUrlError(`${JSON.stringify(text)} is not a URL`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new InvalidApiUrlError(`${JSON.stringify(text)} is not an http or https URL`);
  }
  // Not shown: it may hold a password.
  if (url.username !== '' || url.password !== '') {
    throw new InvalidApiUrlError('The address must not hold a user name or password');
  }
  if (url.search !== '' || url.hash !== '') {
    throw new InvalidApiUrlError(`${JSON.stringify(text)} has more than an origin and a path`);
  }
  const path = url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '');
  return url.origin + path;
}

function orgOf(given: string | undefined, credential: Credential): string | undefined {
  const own = credential.kind === 'private-key' ? credential.key.org : undefined;
  if (given !== undefined && own !== undefined && given !== own) {
    throw new InvalidOptionsError(`The private key belongs to the org ${own}, not to ${given}`);
  }
  return own ?? given;
}

const blankless = (text: string | undefined): string | undefined => text?.trim() || undefined;

function defined<T extends object>(values: T | undefined): Partial<T> {
  const entries = Object.entries(values ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}
