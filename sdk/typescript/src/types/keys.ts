import type { OrgInput, PageInput, Scope, TagPatch, Tags } from './common.js';

/** What API keys and signing keys have in common. */
interface KeyFacts {
  id: string;
  name: string | null;
  scopes: Scope[];
  /** Its repos; null = all of the org. */
  repo_ids: string[] | null;
  tags: Tags;
  /** Last use, to about a minute. */
  last_used_at: string | null;
  /** When it stops working; null = never. */
  expires_at: string | null;
  revoked_at: string | null;
  created_at: string;
}

/** An API key without its secret. */
export interface ApiKey extends KeyFacts {
  metadata: Record<string, unknown> | null;
}

/** A new API key. */
export interface ApiKeyCreated {
  id: string;
  /** The secret, `mesa_...`: shown only this once. */
  key: string;
  name: string | null;
  scopes: Scope[];
  repo_ids: string[] | null;
  tags: Tags;
  created_at: string;
  expires_at: string | null;
}

/** What a new key is to be. */
interface KeyWish extends OrgInput {
  /** A name for people. */
  name?: string | undefined;
  /** Read and write when absent; never more than the credential has. */
  scopes?: Scope[] | undefined;
  /** Restricts it to these repos. */
  repo_ids?: string[] | undefined;
  /** 100 to 31536000; it does not expire when absent. */
  expires_in_seconds?: number | undefined;
  tags?: Tags | undefined;
}

/** Makes an API key. */
export type ApiKeyCreateInput = KeyWish;

/** Whether keys are shown that still work. */
export type KeyStatus = 'active' | 'revoked' | 'expired' | 'all';

/** Lists API keys. */
export interface ApiKeyListInput extends OrgInput, PageInput {
  /** Part of the name. */
  query?: string | undefined;
  /** `all` when absent. */
  status?: KeyStatus | undefined;
  scope?: Scope | undefined;
  repo_id?: string | undefined;
}

/** Names an API key. */
export interface ApiKeyRevokeInput extends OrgInput {
  id: string;
}

/** Changes the tags of an API key. */
export interface ApiKeyUpdateInput extends OrgInput {
  id: string;
  tags: TagPatch;
}

/** All tags of an API key. */
export interface ApiKeyTags {
  tags: Tags;
}

/** The public half of a key that clients sign tokens with. */
export interface SigningKey extends KeyFacts {
  /** Raw public key in base64url: `x` of its JWK. */
  public_key: string;
}

/** Registers a public key. */
export interface SigningKeyCreateInput extends KeyWish {
  /** Raw public key (32 bytes) in base64url. */
  public_key: string;
}

/** Makes a key pair here and registers its public half. */
export type SigningKeyGenerateInput = KeyWish;

/** A new key pair. */
export interface SigningKeyGenerated extends SigningKey {
  /** `mesa_private_key_...`: exists here only. */
  private_key: string;
}

/** Lists signing keys. */
export interface SigningKeyListInput extends OrgInput, PageInput {
  /** `all` when absent. */
  status?: KeyStatus | undefined;
}

/** Names a signing key. */
export interface SigningKeyRevokeInput extends OrgInput {
  id: string;
}
