import type { ChangeGetInput } from './changes.js';
import type { PageInput } from './common.js';

/** What an operation does. */
export type OperationKind =
  | 'create'
  | 'write'
  | 'delete'
  | 'rename'
  | 'link'
  | 'attributes'
  | 'xattr';

/** What one program or request did to a change in one go. */
export interface Action {
  /** Id of its first operation. */
  id: string;
  change_id: string;
  first_operation: string;
  last_operation: string;
  started_at: string;
  ended_at: string;
  /** `mount`, `rest`, `merge`, `undo`, `restore`, or what later servers know. */
  origin: string;
  /** The action that it undid. */
  undoes: string | null;
  /** The undo of it that is in effect. */
  undone_by: string | null;
  session: string;
  key_id: string | null;
  host: string | null;
  address: string | null;
  program: { exe: string; pid: number; process_group: number | null; uid: number } | null;
  operation_count: number;
  counts: Record<OperationKind, number>;
  /** The first 100, sorted. */
  paths: ActionPath[];
  path_count: number;
  /** Operations that replaced bytes another session had written meanwhile. */
  overwrote: number;
}

/** A path that an action touched. */
export interface ActionPath {
  path: string;
  /** Base64 of the raw path, only when it is not UTF-8. */
  path_b64?: string | null;
  kinds: OperationKind[];
  /** Where a rename came from. */
  from?: string | null;
}

/** One operation. */
export interface Operation {
  id: string;
  at: string;
  kind: OperationKind;
  path: string;
  /** Base64 of the raw path, only when it is not UTF-8. */
  path_b64?: string | null;
  /** Where a rename came from; the file that a link names. */
  from?: string | null;
  /** Bytes of the content it left. */
  size: number | null;
  /** What it replaced of another session; `content` in base64, null above 64 KiB. */
  overwrote: { size: number; content: string | null } | null;
}

/** Lists what was done to a change, newest first. */
export interface ActionListInput extends ChangeGetInput, PageInput {
  /** Only what touched this path or something below it. */
  path?: string | undefined;
  /** RFC 3339. */
  since?: string | undefined;
  /** RFC 3339; what began before it. */
  until?: string | undefined;
  session?: string | undefined;
  key_id?: string | undefined;
}

/** Names an operation of a change. */
export interface ActionGetInput extends ChangeGetInput, PageInput {
  operation: string;
}

/** An action with its operations, oldest first. */
export interface ActionDetails {
  action: Action;
  operations: Operation[];
  next_cursor: string | null;
  has_more: boolean;
}

/** Undoes an action. */
export interface UndoInput extends ChangeGetInput {
  /** An operation of the action; the newest that is no undo and not undone when absent. */
  action?: string | undefined;
  /** The change or bookmark it is written to; the one named when absent. */
  onto?: string | undefined;
  /** Only at these paths and below. */
  paths?: string[] | undefined;
  /** Writes conflicts with markers, instead of refusing them. */
  allow_conflicted?: boolean | undefined;
}

/** What an undo came to. */
export interface UndoResult extends RestoreResult {
  /** The action undone. */
  undone: string;
  is_conflicted: boolean;
  conflict_paths: string[];
}

/** A state of the past. */
export type RestoreAt =
  /** A change or bookmark as it is now. */
  | { change: string }
  | { commit_oid: string }
  /** RFC 3339. */
  | { time: string }
  /** After this operation, or before it. */
  | { operation: string; before?: boolean | undefined };

/** Brings paths back as they were. */
export interface RestoreInput extends ChangeGetInput {
  /** 1 to 1000; an empty one is the whole tree. */
  paths: string[];
  at: RestoreAt;
  /** The change or bookmark it is written to; the one named when absent. */
  onto?: string | undefined;
  /** Removes paths that were not there then, instead of refusing. */
  allow_remove?: boolean | undefined;
}

/** What bringing back came to. */
export interface RestoreResult {
  /** `no_op`: everything was as wanted. */
  outcome: 'applied' | 'no_op';
  /** The change that was written to. */
  change_id: string;
  commit_oid: string;
  /** The action that was written. */
  action: string | null;
  operation_count: number;
}
