/** What a credential may do; each scope includes those before it: read, write, admin. */
export type Scope = 'read' | 'write' | 'admin';

/** Labels. Keys are stored in lower case. */
export type Tags = Record<string, string>;

/** Changes to labels: a string sets one, null removes it, what is absent stays. */
export type TagPatch = Record<string, string | null>;

/** Every input may name an org other than the client's. */
export interface OrgInput {
  /** Slug of the org; the client's when absent. */
  org?: string | undefined;
}

/** Inputs about one repo. */
export interface RepoInput extends OrgInput {
  /** Name of the repo. */
  repo: string;
}

/** Inputs of lists. */
export interface PageInput {
  /** Items of one page: 1 to 100, 50 when absent. */
  limit?: number | undefined;
  /** `next_cursor` of the page before. */
  cursor?: string | undefined;
}

/** Answer of deletes and revocations. */
export interface Success {
  success: boolean;
}

/** What may be said of a single call. */
export interface RequestOptions {
  /** Ends the call, its waits and its retries. */
  signal?: AbortSignal | undefined;
  /** For each try, in milliseconds; the client's when absent. Bytes that come renew it. */
  timeoutMs?: number | undefined;
  /** Tries after the first; the client's when absent. */
  maxRetries?: number | undefined;
  /**
   * Of a write: sent again with the same key within 24 hours, it gets the first answer. Made for
   * every call when absent, so that retries never do something twice. It belongs to the credential:
   * a client with a private key uses another token after a while.
   */
  idempotencyKey?: string | undefined;
}
