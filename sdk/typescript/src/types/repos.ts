import type { OrgInput, PageInput, RepoInput, TagPatch, Tags } from './common.js';

/** A repo. */
export interface Repo {
  id: string;
  /** Slug of its org. */
  org: string;
  name: string;
  /** The bookmark used when a request names none. */
  default_bookmark: string;
  /** The change the default bookmark points at; {@link VIRTUAL_ROOT_CHANGE_ID} in a fresh repo. */
  head_change_id: string;
  /** The git remote it follows. */
  upstream: Upstream | null;
  created_at: string;
  tags: Tags;
}

/** A git remote as shown: without its secrets. */
export interface Upstream {
  url: string;
  auth_kind: 'token' | 'username_password' | null;
  latest_sync: Sync | null;
}

/** How to sign in to a git remote. */
export type UpstreamAuth =
  | { kind: 'token'; token: string; token_username?: string | undefined }
  | { kind: 'username_password'; username: string; password: string };

/** The git remote that a repo is to follow. */
export interface UpstreamInput {
  url: string;
  /** When a remote is changed, absent keeps what is stored and null forgets it. */
  auth?: UpstreamAuth | null | undefined;
}

/** Makes a repo. */
export interface RepoCreateInput extends OrgInput {
  /** Made by the server when absent. */
  name?: string | undefined;
  /** `main` when absent. */
  default_bookmark?: string | undefined;
  tags?: Tags | undefined;
  upstream?: UpstreamInput | undefined;
}

/** A condition on one tag. */
export interface TagCondition {
  $eq?: string;
  $in?: string[];
  $contains?: string;
  $starts_with?: string;
  $ends_with?: string;
  $exists?: boolean;
}

/**
 * Conditions on tags: all those of one object hold. A plain value stands for `$eq`, a list for
 * `$in`. Upper and lower case are the same.
 */
export type TagQuery =
  | { [tag: string]: string | string[] | TagCondition }
  | { $and: TagQuery[] }
  | { $or: TagQuery[] }
  | { $not: TagQuery };

/** Lists repos by name. */
export interface RepoListInput extends OrgInput, PageInput {
  /** Only repos with these tags: `k:v,k2:v2`, or conditions. */
  tags?: string | TagQuery | undefined;
}

/** Names the repo to read. */
export type RepoGetInput = RepoInput;

/** Changes a repo; what is absent stays. */
export interface RepoUpdateInput extends RepoInput {
  /** The new name. */
  name?: string | undefined;
  default_bookmark?: string | undefined;
  tags?: TagPatch | undefined;
  /** null ends following the remote. */
  upstream?: UpstreamInput | null | undefined;
}

/** Names the repo to delete. */
export type RepoDeleteInput = RepoInput;

/** Sets or removes one tag of many repos: all of them or, if one is unknown, none. */
export interface RepoBulkTagsInput extends OrgInput {
  /** 1 to 100 ids. */
  repo_ids: string[];
  action: 'set' | 'remove';
  key: string;
  /** For `set`. */
  value?: string | undefined;
}

/** How many repos were named. */
export interface RepoBulkTagsResult {
  updated: number;
}

/** One exchange with a git remote. */
export interface Sync {
  id: string;
  repo_id: string;
  direction: 'pull' | 'push';
  status: 'queued' | 'in_progress' | 'completed' | 'failed';
  /** Counts from 1. */
  attempt: number;
  ref_globs: SyncRefGlobs;
  stats: { refs: SyncRef[] } | null;
  error: string | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
}

/** Which refs a sync exchanges; an empty pattern stands for none. */
export interface SyncRefGlobs {
  branches: string;
  tags: string;
}

/** Which refs a sync is to exchange: at least one of the two. */
export type SyncRefGlobsInput =
  | { branches: string; tags?: string | undefined }
  | { branches?: string | undefined; tags: string };

/** What became of one ref. */
export interface SyncRef {
  name: string;
  before: string | null;
  after: string;
  /** `updated`, `unchanged`, `filtered` or `rejected`. */
  outcome: string;
}

/** Starts an exchange with the git remote. */
export interface SyncCreateInput extends RepoInput {
  direction: 'pull' | 'push';
  /** All branches and tags when absent. */
  ref_globs?: SyncRefGlobsInput | undefined;
}

/** Names a sync. */
export interface SyncGetInput extends RepoInput {
  syncId: string;
}

/** Lists syncs, newest first. */
export type SyncListInput = RepoInput & PageInput;
