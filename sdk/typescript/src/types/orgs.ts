import type { OrgInput, PageInput, Scope } from './common.js';
import type { ApiKeyCreated } from './keys.js';

/** An org, by its id and names. */
export interface Org {
  id: string;
  /** Its name in paths. */
  slug: string;
  /** Its name for people. */
  name: string;
}

/** Whose credential this is. */
export interface Whoami {
  org: Org;
  /** The key that authenticated the request, or that signed its token. */
  key_id: string | null;
  key_name: string | null;
  scopes: Scope[];
  /** The repos it is restricted to; null = all of the org. */
  repo_ids: string[] | null;
  /** When it stops working; null = never. */
  expires_at: string | null;
}

/** An org with what is in it. */
export interface OrgSummary extends Org {
  created_at: string;
  /** Repos that the credential can see. */
  num_repos: number;
}

/** Names the org to read. */
export type OrgGetInput = OrgInput;

/** A new org. */
export interface OrgCreateInput {
  /** Its name in paths. */
  slug: string;
  /** Its name for people; the slug when absent. */
  name?: string | undefined;
}

/** A new org with its first admin key. */
export interface OrgCreated extends Org {
  created_at: string;
  /** Holds the secret, which is shown only this once. */
  admin_key: ApiKeyCreated;
}

/** Lists orgs. */
export type OrgListInput = PageInput;

/** Something that changed the org. */
export interface AuditRecord {
  id: string;
  at: string;
  /** The key that did it; null = the server itself. */
  key_id: string | null;
  /** The client's address, or `server`. */
  source: string;
  request_id: string;
  /** `<noun>.<verb>`. */
  action: string;
  /** Id of what it was done to. */
  target: string;
  /** Facts, by action. */
  detail: unknown;
}

/** Lists what changed the org, newest first. */
export type AuditListInput = OrgInput & PageInput;
