import type { RepoInput } from './common.js';

/** git modes of files. */
export type FileMode = '100644' | '100755';

interface Named {
  /** Last part of the path; U+FFFD stands for what is not UTF-8. */
  name: string;
  /** From the repo's root, without a slash at the beginning. */
  path: string;
  /** Base64 of the raw path, only when it is not UTF-8. */
  path_b64?: string | null;
  /** git oid of the blob or tree. */
  sha: string;
  /** Labels of the path, only when it has some; always the present ones. */
  metadata?: Record<string, string>;
}

interface WithBytes {
  /** In bytes. */
  size: number;
  encoding: 'base64';
  /** The bytes, or the target of a symlink, in base64. */
  content: string;
  /** Whether the path is in conflict. */
  is_conflicted?: boolean;
}

/** A file with its bytes. */
export interface ContentFile extends Named, WithBytes {
  type: 'file';
  mode: FileMode;
}

/** A symlink with its target. */
export interface ContentSymlink extends Named, WithBytes {
  type: 'symlink';
  mode: '120000';
}

/** A directory. */
export interface ContentDir extends Named {
  type: 'dir';
  /** Direct children. */
  child_count: number;
  /** Down to the wanted depth, parents before children. */
  entries: ContentEntry[];
}

/** What is at a path. */
export type Content = ContentFile | ContentSymlink | ContentDir;

/** An entry of a directory. */
export type ContentEntry =
  | (Named & { type: 'file'; size: number; mode: FileMode })
  | (Named & { type: 'symlink'; size: number; mode: '120000' })
  | (Named & { type: 'dir' });

/** What to read. */
export interface ContentGetInput extends RepoInput {
  /** From the repo's root; the root itself when absent or empty. */
  path?: string | undefined;
  /** A change or bookmark; the default bookmark when absent. */
  change_id?: string | undefined;
  /** Levels of a directory: 0 to 10, 0 = only the directory itself. */
  depth?: number | undefined;
  /** Only entries with these labels. */
  metadata?: Record<string, string> | undefined;
}

/** Whose bytes to read. */
export interface ContentBytesInput extends RepoInput {
  path: string;
  /** A change or bookmark; the default bookmark when absent. */
  change_id?: string | undefined;
  /** Only these bytes, both ends included; to the end of the file when `end` is absent. */
  range?: { start: number; end?: number | undefined } | undefined;
}
