import type { CommitIdentity, Signature } from '../types/changes.js';
import type { Tags } from '../types/common.js';
import type { Org } from '../types/orgs.js';
import type { Sync } from '../types/repos.js';

/** A repo as events show it. */
export interface EventRepo {
  id: string;
  name: string;
  default_bookmark: string;
  head_change_id: string;
  created_at: string;
  tags: Tags;
}

/** What of a repo can be changed. */
export interface EventRepoSnapshot {
  name: string;
  default_bookmark: string;
  tags: Tags;
}

/** A bookmark as events show it. */
export interface EventBookmark {
  name: string;
  is_default: boolean;
  change_id: string;
  commit_oid: string;
}

/** A change as events show it. */
export interface EventChange {
  id: string;
  current_commit_oid: string;
  message: string;
  author: Signature;
  authors: CommitIdentity[];
  authored_at: string;
  committer: Signature;
  parents: string[];
  created_at: string;
  updated_at: string;
}

/** One ref that a push changed. */
export interface EventPushUpdate {
  ref: string;
  bookmark: string;
  before: string | null;
  after: string | null;
  action: 'created' | 'updated' | 'deleted';
}

/** Data of `push`. */
export interface PushPayload {
  updates: EventPushUpdate[];
  reconciliation: {
    reconciled_commit_count: number;
    touched_change_count: number;
    changes_created_count: number;
    evolog_inserted_count: number;
    invalid_change_id_header_count: number;
    dirty_change_skip_count: number;
  };
}

/** Data of `sync.*`. */
export interface SyncPayload<Status extends Sync['status']> {
  sync: Sync & { status: Status };
}

/** Data of each event by its name. */
export interface WebhookPayloads {
  'repo.created': { repo: EventRepo };
  'repo.updated': { repo: EventRepo; before: EventRepoSnapshot; after: EventRepoSnapshot };
  'repo.deleted': { repo: EventRepo };
  'bookmark.created': { bookmark: EventBookmark };
  'bookmark.deleted': { bookmark: EventBookmark };
  'bookmark.moved': { bookmark: EventBookmark; from: { change_id: string; commit_oid: string } };
  'bookmark.merged': { bookmark: EventBookmark };
  'change.created': { change: EventChange };
  'change.evolved': { change: EventChange; previous_current_commit_oid: string };
  push: PushPayload;
  'sync.queued': SyncPayload<'queued'>;
  'sync.in_progress': SyncPayload<'in_progress'>;
  'sync.completed': SyncPayload<'completed'>;
  'sync.failed': SyncPayload<'failed'>;
}

/** The name of an event. */
export type WebhookEventName = keyof WebhookPayloads;

/** An event of one kind. */
export type WebhookEventOf<Name extends WebhookEventName> = {
  [N in Name]: {
    /** The same in every delivery of the event: drop repeats by it. */
    id: string;
    type: N;
    occurred_at: string;
    organization: Org;
    repository: { id: string; name: string; url: string } | null;
    data: WebhookPayloads[N];
  };
}[Name];

/** Any event: `type` tells which. */
export type WebhookEvent = WebhookEventOf<WebhookEventName>;

/** Is given the events it was registered for. */
export type WebhookHandler<Name extends WebhookEventName = WebhookEventName> = (
  event: WebhookEventOf<Name>,
) => void | Promise<void>;
