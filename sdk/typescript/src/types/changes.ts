import type { PageInput, RepoInput } from './common.js';

/** Who and when, as in a git commit. */
export interface Signature {
  name: string;
  /** Empty when unknown. */
  email: string;
  /** RFC 3339. */
  date?: string | null | undefined;
}

/** One author of a change. */
export interface CommitIdentity {
  name: string;
  email: string | null;
}

/** Where a change is in its life. */
export type ChangeState = 'open' | 'closed' | 'published' | 'abandoned';

/** A change: one id through all its commits. */
export interface Change {
  id: string;
  /** The commit it is at now. */
  current_commit_oid: string;
  is_conflicted: boolean;
  /** Where it is in its life: it takes writes, has a successor, is known to others, was given up. */
  state: ChangeState;
  /** Description; empty = none. */
  message: string;
  /** First author. */
  author: Signature;
  authors: CommitIdentity[];
  /** When it was first written. */
  authored_at: string;
  committer: Signature;
  /** Parent changes. */
  parents: string[];
  created_at: string;
  updated_at: string;
}

/** A change with its paths. */
export interface ChangeDetails extends Change {
  /** Paths that differ from the first parent. */
  files: string[];
  /** Paths in conflict. */
  conflicts: string[];
}

/** Bytes as given, text with `encoding: 'utf-8'`, or base64. */
export type Bytes =
  | { content: string; encoding?: 'base64' | undefined }
  | { content: string; encoding: 'utf-8' }
  | { content: Uint8Array; encoding?: undefined };

/** Writes a file. */
export type FileUpsert = Bytes & {
  path: string;
  action?: 'upsert' | undefined;
  /** `120000` makes a symlink to the content. */
  mode?: '100644' | '100755' | '120000' | undefined;
};

/** Deletes a file. */
export interface FileDelete {
  path: string;
  action: 'delete';
}

/** Moves a file. */
export interface FileMove {
  /** Where it is to be. */
  path: string;
  action: 'move';
  /** Where it is. */
  from: string;
}

/** What is done to one file. */
export type FileOp = FileUpsert | FileDelete | FileMove;

/** A side of a conflict to take, or bytes. */
export type Taken = { take: 'target' | 'source' } | Bytes;

/** How a path in conflict is resolved: whole, or hunk by hunk. */
export type ResolutionInput =
  | ({ path: string } & Taken)
  | { path: string; hunks: ({ hunk_id: string } & Taken)[] };

/** Closes a change. */
export interface ChangeCloseInput extends ChangeGetInput {
  /** Description of the change that is closed. */
  message?: string | undefined;
}

/** A change that takes no more writes. */
export interface ChangeClosed {
  closed: Change;
  /**
   * The change in which its sessions go on, which exists from its first write on; null if it had
   * none.
   */
  next_change_id: string | null;
}

/** Gives a change up. */
export interface ChangeAbandonInput extends ChangeGetInput {
  /** Brings an abandoned change back. */
  undo?: boolean | undefined;
}

/** A change that was abandoned or brought back. */
export interface ChangeAbandoned {
  change: Change;
  /** The change below it, where its bookmarks and what was on top of it are while it is abandoned. */
  parent_change_id: string;
  /** Bookmarks that moved. */
  bookmarks: string[];
  /** How many changes are rebased when they are next looked at. */
  descendants: number;
}

/** Lists changes, newest first. */
export interface ChangeListInput extends RepoInput, PageInput {
  /** Those that this bookmark holds; the default bookmark when absent. */
  bookmark?: string | undefined;
  /** All abandoned changes of the repo instead, by id. */
  state?: 'abandoned' | undefined;
}

/** Names a change. */
export interface ChangeGetInput extends RepoInput {
  /** A change's id or a bookmark's name. */
  change_id: string;
}

/** Makes a change. */
export interface ChangeCreateInput extends RepoInput {
  /**
   * The change (or bookmark) it begins with; {@link VIRTUAL_ROOT_CHANGE_ID} for the first of a
   * repo.
   */
  base_change_id: string;
  message?: string | undefined;
  author?: Signature | undefined;
  committer?: Signature | undefined;
  files?: FileOp[] | undefined;
}

/** Amends a change. */
export interface ChangeUpdateInput extends ChangeGetInput {
  message?: string | undefined;
  author?: Signature | undefined;
  committer?: Signature | undefined;
  /** Not together with `resolutions`. */
  files?: FileOp[] | undefined;
  /** The commit that was seen: refused when the change has another one by now. */
  base_commit_oid?: string | undefined;
  /** How paths in conflict are resolved. */
  resolutions?: ResolutionInput[] | undefined;
}
