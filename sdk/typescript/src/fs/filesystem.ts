import { type Bash, type BashOptions, bashOf } from './bash.js';
import type { NativeChange, NativeFileSystem, NativeStat, RepoState } from './native.js';
import { promisesOf } from './promises.js';
import {
  type ReadStreamOptions,
  readStream,
  type WriteStreamOptions,
  writeStream,
} from './streams.js';

/** Encodings of text. */
export type FsEncoding = 'utf8' | 'utf-8' | 'ascii' | 'binary' | 'base64' | 'hex' | 'latin1';
type Encoded = FsEncoding | { encoding?: FsEncoding | null | undefined };

/** Attributes of a path. */
export interface FsStat extends Omit<NativeStat, 'mtime' | 'atime' | 'ctime'> {
  mtime: Date;
  atime: Date;
  ctime: Date;
}

/** Something that others changed. */
export interface FsChange {
  path: string;
  /** Anything below it may have changed, too. */
  recursive: boolean;
}

/** Ends a subscription. */
export type FsUnsubscribe = () => Promise<void>;

/** Which version: a bookmark or a change. */
interface Version {
  repo: string;
  bookmark?: string | undefined;
  changeId?: string | undefined;
}

const encodingOf = (options: Encoded | undefined): string | undefined =>
  (typeof options === 'string' ? options : options?.encoding) ?? undefined;

const statOf = ({ mtime, atime, ctime, ...rest }: NativeStat): FsStat => ({
  ...rest,
  mtime: new Date(mtime),
  atime: new Date(atime),
  ctime: new Date(ctime),
});

/**
 * Repos mounted in this process, without FUSE. Paths are `/<org>/<repo>/...`. Failed calls throw
 * errors as Node's own: `code`, `errno`, `syscall`, `path`, and `serverCode` where a server's answer
 * is the reason. It fits just-bash as a filesystem; `promises` has the shape of `node:fs/promises`.
 */
export class MesaFileSystem {
  /** The same in the shape of `node:fs/promises`. */
  readonly promises: ReturnType<typeof promisesOf>;
  readonly #native: NativeFileSystem;

  constructor(native: NativeFileSystem) {
    this.#native = native;
    this.promises = promisesOf(native);
  }

  /** A file as text. */
  readFile(path: string, options?: Encoded): Promise<string> {
    return this.#native.readText(path, encodingOf(options));
  }
  /** A file as bytes. */
  readFileBuffer(path: string): Promise<Uint8Array> {
    return this.#native.readBytes(path);
  }
  /** At most `length` bytes from `offset`. */
  readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#native.readRange(path, offset, length);
  }
  /** Makes a file or replaces what is in it. */
  writeFile(path: string, content: string | Uint8Array, options?: Encoded): Promise<void> {
    return typeof content === 'string'
      ? this.#native.writeText(path, content, encodingOf(options))
      : this.#native.writeBytes(path, content);
  }
  /** Writes to the end of a file. */
  appendFile(path: string, content: string | Uint8Array, options?: Encoded): Promise<void> {
    return typeof content === 'string'
      ? this.#native.appendText(path, content, encodingOf(options))
      : this.#native.appendBytes(path, content);
  }
  /** Reads a file piece by piece. */
  createReadStream(path: string, options?: ReadStreamOptions): ReturnType<typeof readStream> {
    return readStream(this.#native, path, options);
  }
  /** Writes a file piece by piece. */
  createWriteStream(path: string, options?: WriteStreamOptions): ReturnType<typeof writeStream> {
    return writeStream(this.#native, path, options);
  }

  /** Whether a path names something. */
  exists(path: string): Promise<boolean> {
    return this.#native.exists(path);
  }
  /** Attributes, symlinks followed. */
  async stat(path: string): Promise<FsStat> {
    return statOf(await this.#native.stat(path));
  }
  /** Attributes, of a symlink itself. */
  async lstat(path: string): Promise<FsStat> {
    return statOf(await this.#native.lstat(path));
  }
  /** Makes a directory. */
  async mkdir(path: string, options: { recursive?: boolean } = {}): Promise<void> {
    await this.#native.mkdir(path, options.recursive);
  }
  /** Names in a directory. */
  readdir(path: string): Promise<string[]> {
    return this.#native.readdir(path);
  }
  /** Names in a directory, with what they are. */
  readdirWithFileTypes(path: string) {
    return this.#native.readdirWithFileTypes(path);
  }
  /** Removes a file, an empty directory, or with `recursive` any. */
  rm(path: string, options: { recursive?: boolean; force?: boolean } = {}): Promise<void> {
    return this.#native.rm(path, options.recursive, options.force);
  }
  /** Copies a file, or with `recursive` a directory. */
  cp(from: string, to: string, options: { recursive?: boolean } = {}): Promise<void> {
    return this.#native.cp(from, to, options.recursive);
  }
  /** Moves, also from one repo to another. */
  mv(from: string, to: string): Promise<void> {
    return this.#native.mv(from, to);
  }
  /** `path` seen from `base`. */
  resolvePath(base: string, path: string): string {
    return this.#native.resolvePath(base, path);
  }
  /** Nothing: who wants every path lists directories. */
  getAllPaths(): string[] {
    return this.#native.getAllPaths();
  }
  /** Changes permission bits. */
  chmod(path: string, mode: number): Promise<void> {
    return this.#native.chmod(path, mode);
  }
  /** Makes a symlink at `path`. */
  symlink(target: string, path: string): Promise<void> {
    return this.#native.symlink(target, path);
  }
  /** Gives a file another name. */
  link(existing: string, path: string): Promise<void> {
    return this.#native.link(existing, path);
  }
  /** A symlink's target. */
  readlink(path: string): Promise<string> {
    return this.#native.readlink(path);
  }
  /** The path without symlinks. */
  realpath(path: string): Promise<string> {
    return this.#native.realpath(path);
  }
  /** Changes times. */
  utimes(path: string, atime: Date, mtime: Date): Promise<void> {
    return this.#native.utimes(path, atime.getTime(), mtime.getTime());
  }

  /** Sets metadata of a path; null removes a key. `org` and `repo` cannot be set. */
  setMetadata(path: string, entries: Record<string, string | null>): Promise<void> {
    return this.#native.setMetadata(path, entries);
  }
  /** Metadata of a path, with its `org` and `repo`. */
  getMetadata(path: string): Promise<Record<string, string>> {
    return this.#native.getMetadata(path);
  }
  /** Removes a path's metadata. */
  clearMetadata(path: string): Promise<void> {
    return this.#native.clearMetadata(path);
  }

  /**
   * Calls the handler with what others change: other mounts, other programs, the API. One call at a
   * time, in order. A handler that throws ends the subscription, and `onError` is told.
   */
  subscribe(
    handler: (change: FsChange) => void | Promise<void>,
    onError?: (error: unknown) => void,
  ): FsUnsubscribe {
    const watcher = this.#native.watch();
    const told = (async () => {
      for (let change = await watcher.next(); change; change = await watcher.next()) {
        await handler(change);
      }
    })().catch(async (error) => {
      await watcher.close();
      if (!onError) throw error;
      onError(error);
    });
    // Whoever unsubscribes is told of the handler's failure, if nobody else was.
    told.catch(() => {});
    return async () => {
      await watcher.close();
    };
  }

  /** What others change, as an iterator; leaving the loop ends it. */
  async *watch(): AsyncGenerator<FsChange, void, undefined> {
    const watcher = this.#native.watch();
    try {
      for (let change = await watcher.next(); change; change = await watcher.next()) {
        yield change;
      }
    } finally {
      await watcher.close();
    }
  }

  /** The changes of a mounted repo. */
  get change() {
    const native = this.#native;
    return {
      /** A new change on a bookmark, a change, or what is worked on; the mount goes there. */
      new: (input: Version & { message?: string | undefined }): Promise<NativeChange> =>
        native.newChange(input.repo, input.bookmark, input.changeId, input.message),
      /** Goes on at a bookmark or change. */
      edit: (input: Version): Promise<NativeChange> =>
        native.editChange(input.repo, input.bookmark, input.changeId),
      /** From what is worked on down, newest first; 50 of them, 0 = all. */
      list: (input: { repo: string; limit?: number | undefined }): Promise<NativeChange[]> =>
        native.listChanges(input.repo, input.limit),
      /** What is worked on, with everything written in its commit. */
      current: (input: { repo: string }): Promise<NativeChange> => native.currentChange(input.repo),
      /** Describes what is worked on. */
      describe: (input: { repo: string; message: string }): Promise<NativeChange> =>
        native.describeChange(input.repo, input.message),
      /** Keeps what is worked on and goes on on top; null when nothing was written. */
      checkpoint: (input: {
        repo: string;
        message?: string | undefined;
      }): Promise<NativeChange | null> => native.checkpoint(input.repo, input.message),
    };
  }

  /** The bookmarks of a mounted repo. */
  get bookmark() {
    const native = this.#native;
    return {
      /** Makes one where the mount is. */
      create: (input: { repo: string; name: string }): Promise<void> =>
        native.createBookmark(input.repo, input.name),
      /** Points one at a descendant of where it is. */
      move: (input: { repo: string; name: string; changeId: string }): Promise<void> =>
        native.moveBookmark(input.repo, input.name, input.changeId),
      /** Their names. */
      list: (input: { repo: string }): Promise<string[]> => native.listBookmarks(input.repo),
    };
  }

  /** A shell in this process whose files are the mount's. Needs the package `just-bash`. */
  bash(options: BashOptions = {}): Bash {
    return bashOf(this, options);
  }

  /** Each repo's connection, change and lag. */
  status(): RepoState[] {
    return this.#native.status();
  }
  /** Another API key or token, used at once. */
  setCredential(key: string): void {
    this.#native.setCredential(key);
  }
  /** Resolves when every named repo is open, with the first error otherwise. */
  ready(): Promise<void> {
    return this.#native.ready();
  }
  /** Resolves when everything done so far is on the server. */
  flush(): Promise<void> {
    return this.#native.flush();
  }
  /** Sends everything and ends the mount; again does nothing. */
  async close(): Promise<void> {
    if (!this.#native.closed) await this.#native.close();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
