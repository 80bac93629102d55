/** A repo of a mount. */
export interface NativeRepo {
  name: string;
  bookmark?: string;
  changeId?: string;
  readOnly?: boolean;
  isolate?: boolean;
  /** Where it is shown; `/<org>/<name>` when absent. */
  path?: string;
}

/** Encodings of text, as Node has them. */
export type TextEncoding =
  | 'utf8'
  | 'utf-8'
  | 'ascii'
  | 'latin1'
  | 'binary'
  | 'base64'
  | 'base64url'
  | 'hex'
  | 'utf16le'
  | 'ucs2';

/** When writing calls return. */
export type Durability = 'fsync' | 'close' | 'write' | 'local';

/** What the addon is given. */
export interface NativeConfig {
  org: string;
  /** API key or access token. Absent with a function for tokens. */
  apiKey?: string;
  repos: NativeRepo[];
  /** The repos that are shown; all that the credential sees when absent. */
  mountedRepos?: string[] | 'all';
  cache?: { diskCache?: { path: string; maxSizeBytes?: number } };
  apiBaseUrl?: string;
  vcsUrl?: string;
  telemetry?: { logLevel?: string };
  durability?: Durability;
  stateDir?: string;
  readOnly?: boolean;
  isolate?: boolean;
  umask?: number;
  timeoutMs?: number;
  caFile?: string;
  userAgent?: string;
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
  atime: number;
  ctime: number;
  /** In decimal: it does not fit a number. */
  ino: string;
  nlink: number;
  uid: number;
  gid: number;
  blocks: number;
}

/** An open file. */
export interface NativeFile {
  /** At most `length` bytes; fewer only at the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
  write(offset: number, content: Uint8Array): Promise<void>;
  stat(): Promise<NativeStat>;
  truncate(size: number): Promise<void>;
  chmod(mode: number): Promise<void>;
  utimes(atime: number, mtime: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** One repo's state. */
export interface RepoState {
  org: string;
  repo: string;
  isOpen: boolean;
  connection: 'starting' | 'attached' | 'waiting' | 'refused' | 'fenced' | 'closed';
  changeId: string;
  bookmark: string;
  readOnly: boolean;
  /** What the server does not have yet. */
  lagOperations: number;
  lagBytes: number;
  /** Why it could not be opened, or what failed last. */
  failure?: string | null;
  entries: number;
  openFiles: number;
}

/** A change. */
export interface NativeChange {
  changeId: string;
  /** The same. */
  changeOid: string;
  commitOid: string;
  bookmark?: string | null;
  message: string;
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
  readRange(path: string, offset: number, length: number): Promise<Uint8Array>;
  writeText(path: string, content: string, encoding?: string): Promise<void>;
  writeBytes(path: string, content: Uint8Array): Promise<void>;
  appendText(path: string, content: string, encoding?: string): Promise<void>;
  appendBytes(path: string, content: Uint8Array): Promise<void>;
  writeFile(
    path: string,
    content: Uint8Array,
    flags?: string,
    mode?: number,
    durable?: boolean,
  ): Promise<void>;
  truncate(path: string, size: number): Promise<void>;
  open(path: string, flags?: string, mode?: number, durable?: boolean): Promise<NativeFile>;
  exists(path: string): Promise<boolean>;
  access(path: string, mask: number): Promise<void>;
  stat(path: string): Promise<NativeStat>;
  lstat(path: string): Promise<NativeStat>;
  mkdir(path: string, recursive?: boolean, mode?: number): Promise<string | null>;
  readdir(path: string): Promise<string[]>;
  readdirWithFileTypes(path: string): Promise<NativeDirent[]>;
  rm(path: string, recursive?: boolean, force?: boolean): Promise<void>;
  unlink(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  cp(
    from: string,
    to: string,
    recursive?: boolean,
    overwrite?: boolean,
    preserveTimes?: boolean,
  ): Promise<void>;
  mv(from: string, to: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  resolvePath(base: string, path: string): string;
  getAllPaths(): string[];
  chmod(path: string, mode: number): Promise<void>;
  chown(path: string, uid: number, gid: number): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  link(existing: string, path: string): Promise<void>;
  readlink(path: string): Promise<string>;
  realpath(path: string): Promise<string>;
  /** Times in milliseconds since 1970. */
  utimes(path: string, atime: number, mtime: number): Promise<void>;
  lutimes(path: string, atime: number, mtime: number): Promise<void>;
  getXattr(path: string, name: string): Promise<Uint8Array>;
  setXattr(path: string, name: string, value: Uint8Array): Promise<void>;
  listXattrs(path: string): Promise<string[]>;
  removeXattr(path: string, name: string): Promise<void>;
  setMetadata(path: string, entries: Record<string, string | null>): Promise<void>;
  getMetadata(path: string): Promise<Record<string, string>>;
  clearMetadata(path: string): Promise<void>;
  watch(): NativeWatcher;
  newChange(
    repo: string,
    bookmark?: string,
    changeId?: string,
    message?: string,
  ): Promise<NativeChange>;
  editChange(repo: string, bookmark?: string, changeId?: string): Promise<NativeChange>;
  listChanges(repo: string, limit?: number): Promise<NativeChange[]>;
  currentChange(repo: string): Promise<NativeChange>;
  describeChange(repo: string, message: string): Promise<NativeChange>;
  checkpoint(repo: string, message?: string): Promise<NativeChange | null>;
  createBookmark(repo: string, name: string): Promise<void>;
  moveBookmark(repo: string, name: string, changeId: string): Promise<void>;
  listBookmarks(repo: string): Promise<string[]>;
  ready(): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
  readonly closed: boolean;
  setCredential(key: string): void;
  status(): RepoState[];
}

/** A token, and when it ends in milliseconds since 1970. */
export interface NativeToken {
  token: string;
  expiresAt?: number;
}

/** The addon. */
export interface NativeAddon {
  MesaFileSystem: new (
    config: NativeConfig,
    onLog?: (record: LogRecord) => void,
    getToken?: (org: string) => Promise<NativeToken>,
  ) => NativeFileSystem;
}
