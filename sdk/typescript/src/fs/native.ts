/** A repo of a mount. */
export interface NativeRepo {
  name: string;
  bookmark?: string;
  changeId?: string;
  readOnly?: boolean;
}

/** What the addon is given. */
export interface NativeConfig {
  org: string;
  /** API key or access token. */
  apiKey: string;
  repos: NativeRepo[];
  /** The repos that are shown; all that the credential sees when absent. */
  mountedRepos?: string[] | 'all';
  cache?: { diskCache?: { path: string; maxSizeBytes?: number } };
  apiBaseUrl?: string;
  vcsUrl?: string;
  telemetry?: { logLevel?: string };
}

/** A line of the addon's log. */
export interface LogRecord {
  level: string;
  target: string;
  message: string;
  /** Milliseconds since 1970. */
  timestamp: number;
  fields: Record<string, unknown>;
}

/** Attributes of a path. */
export interface NativeStat {
  isFile: boolean;
  isDirectory: boolean;
  isSymbolicLink: boolean;
  mode: number;
  size: number;
  /** Milliseconds since 1970. */
  mtime: number;
}

/** An entry of a directory. */
export interface NativeDirent {
  name: string;
  isFile: boolean;
  isDirectory: boolean;
  isSymbolicLink: boolean;
}

/** Changes of others, one by one. */
export interface NativeWatcher {
  /** null at the end. */
  next(): Promise<{ path: string; recursive: boolean } | null>;
  close(): Promise<void>;
}

/** A mount in this process. Paths are `/<org>/<repo>/...`. */
export interface NativeFileSystem {
  readText(path: string, encoding?: string): Promise<string>;
  readBytes(path: string): Promise<Uint8Array>;
  writeText(path: string, content: string, encoding?: string): Promise<void>;
  writeBytes(path: string, content: Uint8Array): Promise<void>;
  appendText(path: string, content: string, encoding?: string): Promise<void>;
  appendBytes(path: string, content: Uint8Array): Promise<void>;
  exists(path: string): Promise<boolean>;
  stat(path: string): Promise<NativeStat>;
  lstat(path: string): Promise<NativeStat>;
  mkdir(path: string, recursive?: boolean): Promise<void>;
  readdir(path: string): Promise<string[]>;
  readdirWithFileTypes(path: string): Promise<NativeDirent[]>;
  rm(path: string, recursive?: boolean, force?: boolean): Promise<void>;
  cp(from: string, to: string, recursive?: boolean): Promise<void>;
  mv(from: string, to: string): Promise<void>;
  resolvePath(base: string, path: string): string;
  getAllPaths(): string[];
  chmod(path: string, mode: number): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  link(existing: string, path: string): Promise<void>;
  readlink(path: string): Promise<string>;
  realpath(path: string): Promise<string>;
  /** Times in milliseconds since 1970. */
  utimes(path: string, atime: number, mtime: number): Promise<void>;
  setMetadata(path: string, entries: Record<string, string | null>): Promise<void>;
  getMetadata(path: string): Promise<Record<string, string>>;
  clearMetadata(path: string): Promise<void>;
  watch(): NativeWatcher;
  newChange(
    repo: string,
    bookmark?: string,
    changeId?: string,
    message?: string,
  ): Promise<{ changeOid: string }>;
  editChange(repo: string, bookmark?: string, changeId?: string): Promise<{ changeOid: string }>;
  listChanges(repo: string, limit?: number): Promise<{ changeId: string; commitOid: string }[]>;
  currentChange(repo: string): Promise<{ changeId: string; commitOid: string }>;
  createBookmark(repo: string, name: string): Promise<void>;
  moveBookmark(repo: string, name: string, changeId: string): Promise<void>;
  listBookmarks(repo: string): Promise<string[]>;
}

/** The addon. */
export interface NativeAddon {
  MesaFileSystem: new (
    config: NativeConfig,
    onLog?: (record: LogRecord) => void,
  ) => NativeFileSystem;
}
