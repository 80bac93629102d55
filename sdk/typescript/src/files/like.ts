/** Attributes of a path, as far as agents' tools need them. */
export interface StatLike {
  isFile: boolean;
  isDirectory: boolean;
  size: number;
  /** A date, or milliseconds since 1970. */
  mtime: Date | number;
}

/** An entry of a directory. */
export interface DirentLike {
  name: string;
  isFile: boolean;
  isDirectory: boolean;
  isSymbolicLink: boolean;
}

/**
 * What agents' tools need of a filesystem: a mount of this package, or anything else with just-bash's
 * `IFileSystem`. Errors tell their kind by `code` (`ENOENT`), or begin with it.
 */
export interface FileSystemLike {
  readFileBuffer(path: string): Promise<Uint8Array>;
  writeFile(path: string, content: string | Uint8Array): Promise<void>;
  appendFile(path: string, content: string | Uint8Array): Promise<void>;
  stat(path: string): Promise<StatLike>;
  readdirWithFileTypes(path: string): Promise<DirentLike[]>;
  mkdir(path: string, options?: { recursive?: boolean }): Promise<void>;
  rm(path: string, options?: { recursive?: boolean; force?: boolean }): Promise<void>;
  cp(from: string, to: string, options?: { recursive?: boolean }): Promise<void>;
  mv(from: string, to: string): Promise<void>;
}

/** The kind of a failure, `ENOENT` or the like; null if it does not tell. */
export function codeOf(error: unknown): string | null {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return code;
  return /^(E[A-Z0-9]+)\b/.exec(String(message ?? ''))?.[1] ?? null;
}
