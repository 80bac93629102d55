import type { NativeDirent, NativeStat } from './native.js';

const milliseconds = (time: number): Date => new Date(time);

/** Attributes of a path, as Node's `Stats`. */
export class MesaStats {
  readonly mode: number;
  readonly size: number;
  /** Loses digits above 2^53; `inode` has all. */
  readonly ino: number;
  readonly inode: bigint;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly blocks: number;
  readonly blksize = 4096;
  readonly dev = 0;
  readonly rdev = 0;
  readonly atimeMs: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  /** There is no time of birth; as Node shows it where there is none. */
  readonly birthtimeMs: number;
  readonly #native: NativeStat;

  constructor(native: NativeStat) {
    this.#native = native;
    this.mode = native.mode;
    this.size = native.size;
    this.inode = BigInt(native.ino);
    this.ino = Number(native.ino);
    this.nlink = native.nlink;
    this.uid = native.uid;
    this.gid = native.gid;
    this.blocks = native.blocks;
    this.atimeMs = native.atime;
    this.mtimeMs = native.mtime;
    this.ctimeMs = native.ctime;
    this.birthtimeMs = native.ctime;
  }

  get atime(): Date {
    return milliseconds(this.atimeMs);
  }
  get mtime(): Date {
    return milliseconds(this.mtimeMs);
  }
  get ctime(): Date {
    return milliseconds(this.ctimeMs);
  }
  get birthtime(): Date {
    return milliseconds(this.birthtimeMs);
  }

  isFile(): boolean {
    return this.#native.isFile;
  }
  isDirectory(): boolean {
    return this.#native.isDirectory;
  }
  isSymbolicLink(): boolean {
    return this.#native.isSymbolicLink;
  }
  isFIFO(): boolean {
    return (this.mode & 0o170000) === 0o010000;
  }
  isSocket(): boolean {
    return (this.mode & 0o170000) === 0o140000;
  }
  isBlockDevice(): boolean {
    return false;
  }
  isCharacterDevice(): boolean {
    return false;
  }
}

/** An entry of a directory, as Node's `Dirent`. */
export class MesaDirent {
  readonly name: string;
  readonly parentPath: string;
  readonly #native: NativeDirent;

  constructor(native: NativeDirent, parentPath: string) {
    this.#native = native;
    this.name = native.name;
    this.parentPath = parentPath;
  }

  isFile(): boolean {
    return this.#native.isFile;
  }
  isDirectory(): boolean {
    return this.#native.isDirectory;
  }
  isSymbolicLink(): boolean {
    return this.#native.isSymbolicLink;
  }
}
