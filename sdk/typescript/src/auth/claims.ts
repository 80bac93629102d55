import { InvalidOptionsError } from '../errors/index.js';
import type { Scope } from '../types/common.js';
import type { Claims } from './jwt.js';

/** Repos one token may name. */
const REPOS_MAX = 250;
const AUTHORS_MAX = 100;
const REPO_NAME = /^[A-Za-z0-9._-]{1,100}$/;

/** Whom the commits made with a token are by. */
export interface TokenAuthor {
  name: string;
  email?: string | null | undefined;
}

/** A token by scopes: form A when signed with an API key, form B with a private key. */
export interface ScopedTokenInput {
  /** All that the key has when absent. Never more than that at the time of use. */
  scopes?: Scope[] | undefined;
  /** Only these repos: `org/repo`, or the name alone for the client's org. */
  repos?: string[] | null | undefined;
  /** Only these repos, by id. */
  repo_ids?: string[] | null | undefined;
  /** Private keys only. */
  authors?: TokenAuthor[] | undefined;
  /** API key: 1 to 86400, 3600 when absent. Private key: 1 to 14400, 900 when absent. */
  ttl_seconds?: number | undefined;
  admin?: undefined;
  access?: undefined;
}

/** A token for all that its key may do (form C, private keys only). */
export interface AdminTokenInput {
  admin: true;
  access?: undefined;
  authors?: TokenAuthor[] | undefined;
  /** 1 to 14400, 900 when absent. */
  ttl_seconds?: number | undefined;
}

/** A token for named repos (form C, private keys only). */
export interface RepoTokenInput {
  /** By name without the org. */
  access: Record<string, 'read-repo' | 'write-repo'>;
  admin?: undefined;
  authors?: TokenAuthor[] | undefined;
  /** 1 to 14400, 900 when absent. */
  ttl_seconds?: number | undefined;
}

/** `org/repo` for each name; null = no restriction. */
export function fullNames(repos: string[] | null | undefined, org: string): string[] | null {
  if (repos == null) return null;
  if (repos.length > REPOS_MAX) throw tooMany();
  return repos.map((name) => (name.includes('/') ? name : `${org}/${name}`));
}

/** Seconds a token is to live. */
export function ttl(seconds: number | undefined, whenAbsent: number, max: number): number {
  const value = seconds ?? whenAbsent;
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new InvalidOptionsError(`ttl_seconds must be a whole number from 1 to ${max}`);
}

/** Claims of form A and B about repos and scopes. */
export function scoped(input: ScopedTokenInput, scopes: Scope[], org: string): Claims {
  if (scopes.length === 0) throw new InvalidOptionsError('scopes must name at least one');
  const ids = input.repo_ids;
  if (ids && ids.length + (input.repos?.length ?? 0) > REPOS_MAX) throw tooMany();
  const claims: Claims = { scopes, repos: fullNames(input.repos, org) };
  return ids ? { ...claims, repo_ids: ids } : claims;
}

/** Claims of form C. */
export function granted(input: AdminTokenInput | RepoTokenInput): Claims {
  if (input.admin !== undefined && input.access !== undefined) {
    throw new InvalidOptionsError('A token is for either admin or access, not both');
  }
  const authors = authorClaims(input.authors);
  const by = authors.length > 0 ? { authors } : {};
  if (input.access === undefined) return { admin: true, ...by };
  const names = Object.keys(input.access);
  if (names.length > REPOS_MAX) throw tooMany();
  for (const name of names) {
    if (!REPO_NAME.test(name)) {
      throw new InvalidOptionsError(`access: ${JSON.stringify(name)} is no repo's name`);
    }
  }
  return { access: input.access, ...by };
}

/** Checked authors; blank addresses count as none. */
export function authorClaims(
  authors: TokenAuthor[] | undefined,
): { name: string; email: string | null }[] {
  if (authors === undefined) return [];
  if (authors.length < 1 || authors.length > AUTHORS_MAX) {
    throw new InvalidOptionsError(`authors must be 1 to ${AUTHORS_MAX}`);
  }
  return authors.map(({ name, email }) => ({
    name: identity('name', name),
    email: email == null || email.trim() === '' ? null : identity('email', email),
  }));
}

function identity(what: string, text: string): string {
  if (text.trim() !== '' && !/[<>\r\n\0]/.test(text)) return text.trim();
  throw new InvalidOptionsError(`An author's ${what} must not be blank or hold <, > or a line end`);
}

const tooMany = () => new InvalidOptionsError(`A token may name at most ${REPOS_MAX} repos`);
