import { InvalidOptionsError, MissingCredentialError } from '../errors/index.js';
import { authorClaims, type TokenAuthor } from './claims.js';
import { type Signed, signWithPrivateKey } from './jwt.js';
import { type PrivateKey, parsePrivateKey } from './private-key.js';

/** What requests are authenticated with. */
export type Credential =
  | { kind: 'api-key'; secret: string }
  | { kind: 'access-token'; token: string }
  | { kind: 'private-key'; key: PrivateKey };

/** The three ways to give one. */
export interface CredentialOptions {
  apiKey?: string | undefined;
  accessToken?: string | undefined;
  privateKey?: string | undefined;
}

type Environment = Record<string, string | undefined>;

/** Options before the environment; of that, the order of the command line. */
export function findCredential(options: CredentialOptions, env: Environment): Credential {
  const { apiKey, accessToken, privateKey } = options;
  const given = [apiKey, accessToken, privateKey].filter((value) => value !== undefined);
  if (given.length > 1) {
    throw new InvalidOptionsError('Give one of apiKey, accessToken and privateKey');
  }
  if (given.length === 1) return from({ apiKey, accessToken, privateKey });
  if (set(env['MESA_ACCESS_TOKEN'])) return from({ accessToken: env['MESA_ACCESS_TOKEN'] });
  if (set(env['MESA_API_KEY'])) return from({ apiKey: env['MESA_API_KEY'] });
  if (set(env['MESA_PRIVATE_KEY'])) return from({ privateKey: env['MESA_PRIVATE_KEY'] });
  throw new MissingCredentialError();
}

function from(options: CredentialOptions): Credential {
  if (options.privateKey !== undefined) {
    return { kind: 'private-key', key: parsePrivateKey(clean('privateKey', options.privateKey)) };
  }
  if (options.accessToken !== undefined) {
    return { kind: 'access-token', token: clean('accessToken', options.accessToken) };
  }
  const secret = clean('apiKey', options.apiKey ?? '');
  // The variable of the key is also used to hand over a token.
  const isToken = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/.test(secret);
  return isToken ? { kind: 'access-token', token: secret } : { kind: 'api-key', secret };
}

const set = (text: string | undefined): boolean => text !== undefined && text.trim() !== '';

/** Without the line end that files and shells leave. What a header can't hold is refused unshown. */
function clean(name: string, text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') throw new MissingCredentialError(`${name} is empty`);
  if (!/^[!-~]+$/.test(trimmed)) {
    throw new InvalidOptionsError(`${name} holds characters that no credential has`);
  }
  return trimmed;
}

const OWN_TTL_SECONDS = 900;
/** A call with all its retries ends within this time or not at all. */
const MARGIN_SECONDS = 300;

/** Answers what a request is authenticated with; a private key signs a token now and then. */
export function bearerOf(credential: Credential, authors: TokenAuthor[] | undefined): () => string {
  switch (credential.kind) {
    case 'api-key':
      return () => credential.secret;
    case 'access-token':
      return () => credential.token;
    case 'private-key': {
      const named = authorClaims(authors);
      const claims = { admin: true, ...(named.length > 0 && { authors: named }) };
      let current: Signed | undefined;
      return () => {
        if (!current || current.expiresAt - MARGIN_SECONDS < Date.now() / 1000) {
          current = signWithPrivateKey(credential.key, claims, OWN_TTL_SECONDS);
        }
        return current.token;
      };
    }
  }
}
