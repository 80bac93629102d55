import type { ResolutionInput } from './changes.js';
import type { PageInput, RepoInput } from './common.js';

/** A name for a change; what git calls a branch. */
export interface Bookmark {
  name: string;
  /** The change it points at. */
  change_id: string;
  /** Whether it is the repo's default bookmark. */
  is_default: boolean;
}

/** A bookmark after a move. */
export interface BookmarkMoved extends Bookmark {
  /** What it pointed at before. */
  from_change_id: string | null;
}

/** Lists bookmarks by name. */
export interface BookmarkListInput extends RepoInput, PageInput {
  /** Only names like this; `*` and `?` are wildcards. */
  glob?: string | undefined;
}

/** Names a bookmark. */
export interface BookmarkGetInput extends RepoInput {
  bookmark: string;
}

/** Makes a bookmark. */
export interface BookmarkCreateInput extends RepoInput {
  name: string;
  /** The change (or bookmark) it is to point at. */
  change_id: string;
}

/** Points a bookmark at another change. */
export interface BookmarkMoveInput extends RepoInput {
  bookmark: string;
  /** The change (or bookmark) it is to point at. */
  change_id: string;
  /** Also to a change that does not descend from its present one. */
  allow_backwards?: boolean | undefined;
}

/** Names the bookmark to delete. */
export type BookmarkDeleteInput = BookmarkGetInput;

/** Merges one bookmark into another. */
export interface BookmarkMergeInput extends RepoInput {
  /** The bookmark merged into. */
  target: string;
  /** The bookmark merged. */
  source: string;
  /** Deletes the source afterwards. */
  delete_source?: boolean | undefined;
  /** Makes the merge with the conflicts in it, instead of refusing them. */
  allow_conflicted?: boolean | undefined;
  /** Description of the merge. */
  message?: string | undefined;
  /** How paths in conflict are resolved. */
  resolutions?: ResolutionInput[] | undefined;
}

/** What became of a merge. */
export interface MergeResult {
  /** `no_op`: the target had everything. */
  merge_type: 'merge_commit' | 'no_op';
  is_conflicted: boolean;
  /** The target's commit now. */
  commit_oid: string;
  /** The target's change now. */
  change_id: string;
  target: string;
  source: string;
  source_deleted: boolean;
}
