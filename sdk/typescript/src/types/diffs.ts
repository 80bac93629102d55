import type { RepoInput } from './common.js';

/** Compares two changes. */
export interface DiffGetInput extends RepoInput {
  /** What is compared with. */
  base_change_id: string;
  /** What is looked at. */
  head_change_id: string;
  /** Whether paths in conflict are shown: `include` when absent. */
  conflicts?: 'include' | 'only' | 'exclude' | undefined;
}

/** Compares two changes as one text. */
export type DiffPatchInput = DiffGetInput;

/** What differs between two changes. */
export interface Diff {
  base_change_id: string;
  head_change_id: string;
  stats: DiffStats;
  /** Whether something is not shown. */
  truncated: boolean;
  /** Paths that differ, without those in conflict. */
  entries: DiffEntry[];
  /** Paths in conflict. */
  conflicted_entries: ConflictedDiffEntry[];
}

/** Counts over a whole diff. */
export interface DiffStats {
  entries: number;
  additions: number;
  deletions: number;
  /** Additions and deletions. */
  changes: number;
  conflicted_entries: number;
  conflicted_hunks: number;
}

/** Why differences are not shown. */
export type OmittedReason = 'binary' | 'too_large' | 'file_limit';

/** A path that differs. */
export interface DiffEntry {
  path: string;
  /** Base64 of the raw path, only when it is not UTF-8. */
  path_b64?: string | null;
  status: 'added' | 'modified' | 'deleted' | 'renamed';
  /** Where a renamed file was. */
  old_path: string | null;
  is_conflicted: boolean;
  omitted_reason: OmittedReason | null;
  /** null when they are omitted. */
  hunks: DiffHunk[] | null;
  conflict_hunks: ConflictHunk[] | null;
  size_bytes?: number;
}

/** A run of changes with context. Lines count from 1. */
export interface DiffHunk {
  old_start: number;
  old_lines: number;
  new_start: number;
  new_lines: number;
  lines: DiffLine[];
}

/** A line of a hunk, without its line feed. */
export interface DiffLine {
  kind: 'context' | 'added' | 'deleted' | 'annotation';
  text: string;
}

/** A path in conflict. */
export interface ConflictedDiffEntry {
  path: string;
  hunks: ConflictHunk[];
  size_bytes?: number;
  omitted_reason?: OmittedReason | null;
}

/** A place where the sides of a conflict differ. */
export interface ConflictHunk {
  /** Names it in a resolution. */
  hunk_id: string;
  old_start: number;
  old_lines: number;
  new_start: number;
  new_lines: number;
  /** The side merged into; null = it has no such file. */
  target: ConflictSide | null;
  /** What both come from. */
  base: ConflictSide | null;
  /** The side merged. */
  source: ConflictSide | null;
}

/** One side of a conflict. */
export interface ConflictSide {
  /** Its bytes in base64. */
  content: string;
}
