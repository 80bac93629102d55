import {
  type AdminTokenInput,
  authorClaims,
  granted,
  type RepoTokenInput,
  type ScopedTokenInput,
  scoped,
  ttl,
} from '../auth/claims.js';
import type { Credential } from '../auth/credential.js';
import { type Signed, signWithApiKey, signWithPrivateKey } from '../auth/jwt.js';
import { InvalidOptionsError } from '../errors/index.js';
import type { OrgInput, RequestOptions, Scope } from '../types/common.js';
import type { Whoami } from '../types/orgs.js';

/** A signed token. */
export interface AccessToken {
  token: string;
  /** When it stops working. */
  expires_at: string;
}

/** A token by scopes. */
export interface ScopedToken extends AccessToken {
  scopes: Scope[];
  /** `org/repo`; null = no restriction by name. */
  repos: string[] | null;
  /** null = no restriction by id. */
  repo_ids: string[] | null;
}

/** A token for all its key may do. */
export interface AdminToken extends AccessToken {
  admin: true;
}

/** A token for named repos. */
export interface RepoToken extends AccessToken {
  access: Record<string, 'read-repo' | 'write-repo'>;
}

/** What signing needs to know. */
export interface TokenContext {
  credential: Credential;
  /** Who the credential is; asked for once. */
  identity: (options?: RequestOptions) => Promise<Whoami>;
  resolveOrg: (org: string | undefined, options?: RequestOptions) => Promise<string>;
}

const API_KEY_TTL = { absent: 3600, max: 86_400 };
const PRIVATE_KEY_TTL = { absent: 900, max: 14_400 };

/** Signs a token here; see the three overloads. */
interface Create {
  /**
   * A token by scopes and repos. With an API key (form A) the server is asked once which key it is;
   * with a private key (form B) nothing is sent.
   */
  (input?: ScopedTokenInput & OrgInput, options?: RequestOptions): Promise<ScopedToken>;
  /** A token for all that the private key may do (form C). */
  (input: AdminTokenInput, options?: RequestOptions): Promise<AdminToken>;
  /** A token for named repos, for mounts (form C). Needs a private key. */
  (input: RepoTokenInput, options?: RequestOptions): Promise<RepoToken>;
}

/**
 * Short-lived tokens, signed here with the client's key. They never exceed what the key may do when
 * they are used, end with it, and cannot be revoked singly.
 */
export const tokensResource = (context: TokenContext) => {
  const create = async (
    input: (ScopedTokenInput & OrgInput) | AdminTokenInput | RepoTokenInput = {},
    options?: RequestOptions,
  ): Promise<AccessToken> => {
    return input.admin !== undefined || input.access !== undefined
      ? grantedToken(context, input)
      : scopedToken(context, input, options);
  };
  return { create: create as Create };
};

async function scopedToken(
  { credential, identity, resolveOrg }: TokenContext,
  input: ScopedTokenInput & OrgInput,
  options?: RequestOptions,
): Promise<ScopedToken> {
  if (credential.kind === 'access-token') throw notASigner();
  const bounds = credential.kind === 'api-key' ? API_KEY_TTL : PRIVATE_KEY_TTL;
  const seconds = ttl(input.ttl_seconds, bounds.absent, bounds.max);
  let signed: Signed;
  let claims: Record<string, unknown>;
  if (credential.kind === 'api-key') {
    if (input.authors) throw needsPrivateKey('authors');
    const { key_id, org, scopes } = await identity(options);
    if (key_id === null) throw new InvalidOptionsError('The server does not name this API key');
    claims = scoped(input, input.scopes ?? scopes, org.slug);
    signed = signWithApiKey(credential.secret, key_id, claims, seconds);
  } else {
    const org = await resolveOrg(undefined, options);
    const author = authorClaims(input.authors).map(({ name, email }) => [name, email]);
    const whole: Scope[] = ['read', 'write', 'admin'];
    claims = scoped(input, input.scopes ?? whole, org);
    if (author.length > 0) claims = { ...claims, author };
    signed = signWithPrivateKey(credential.key, claims, seconds);
  }
  return {
    ...shown(signed),
    scopes: claims['scopes'] as Scope[],
    repos: claims['repos'] as string[] | null,
    repo_ids: input.repo_ids ?? null,
  };
}

function grantedToken(
  { credential }: TokenContext,
  input: AdminTokenInput | RepoTokenInput,
): AdminToken | RepoToken {
  if (credential.kind === 'access-token') throw notASigner();
  if (credential.kind === 'api-key') throw needsPrivateKey('admin and access');
  const seconds = ttl(input.ttl_seconds, PRIVATE_KEY_TTL.absent, PRIVATE_KEY_TTL.max);
  const signed = signWithPrivateKey(credential.key, granted(input), seconds);
  return input.access
    ? { ...shown(signed), access: input.access }
    : { ...shown(signed), admin: true };
}

const shown = ({ token, expiresAt }: Signed): AccessToken => ({
  token,
  expires_at: new Date(expiresAt * 1000).toISOString(),
});

const notASigner = () =>
  new InvalidOptionsError('An access token cannot sign tokens; use an API key or a private key');

const needsPrivateKey = (what: string) =>
  new InvalidOptionsError(`Tokens with ${what} need a private key; this client has an API key`);
