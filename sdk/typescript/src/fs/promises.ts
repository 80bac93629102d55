import type { NativeFile, NativeFileSystem, TextEncoding } from './native.js';
import { MesaDirent, MesaStats } from './stats.js';
import { readStream, writeStream } from './streams.js';

type Encoded = TextEncoding | { encoding: TextEncoding };
type WriteOptions =
  | TextEncoding
  | {
      encoding?: TextEncoding | null | undefined;
      mode?: number | undefined;
      flag?: string | undefined;
      /** Resolves when the server has it. */
      flush?: boolean | undefined;
    };
type Time = number | string | Date;

const encodingOf = (options: unknown): TextEncoding | undefined => {
  const found =
    typeof options === 'string' ? options : (options as { encoding?: string })?.encoding;
  return (found ?? undefined) as TextEncoding | undefined;
};

const bytesOf = (data: string | Uint8Array, options: WriteOptions | undefined): Uint8Array =>
  typeof data === 'string' ? Buffer.from(data, encodingOf(options)) : data;

/** Milliseconds since 1970; numbers are seconds, as in Node. */
export const timeOf = (time: Time): number => {
  if (time instanceof Date) return time.getTime();
  return typeof time === 'number' ? time * 1000 : Number(time) * 1000;
};

/** An open file, as Node's `FileHandle`: with positions given, or one after the other. */
export class MesaFileHandle {
  readonly #file: NativeFile;
  #position = 0;

  constructor(file: NativeFile) {
    this.#file = file;
  }

  /** Reads into a buffer. */
  async read<T extends Uint8Array>(
    buffer: T,
    offset = 0,
    length = buffer.byteLength - offset,
    position: number | null = null,
  ): Promise<{ bytesRead: number; buffer: T }> {
    const bytes = await this.#file.read(position ?? this.#position, length);
    if (position === null) this.#position += bytes.length;
    buffer.set(bytes, offset);
    return { bytesRead: bytes.length, buffer };
  }

  /** Writes a buffer or text. */
  async write(
    data: Uint8Array | string,
    position: number | null = null,
  ): Promise<{ bytesWritten: number }> {
    const bytes = bytesOf(data, undefined);
    await this.#file.write(position ?? this.#position, bytes);
    if (position === null) this.#position += bytes.length;
    return { bytesWritten: bytes.length };
  }

  /** What is left of it. */
  readFile(): Promise<Uint8Array>;
  readFile(options: Encoded): Promise<string>;
  async readFile(options?: Encoded): Promise<Uint8Array | string> {
    const { size } = await this.#file.stat();
    const bytes = await this.#file.read(this.#position, Math.max(0, size - this.#position));
    this.#position += bytes.length;
    const encoding = encodingOf(options);
    return encoding ? Buffer.from(bytes).toString(encoding) : bytes;
  }

  async stat(): Promise<MesaStats> {
    return new MesaStats(await this.#file.stat());
  }
  truncate(size = 0): Promise<void> {
    return this.#file.truncate(size);
  }
  chmod(mode: number): Promise<void> {
    return this.#file.chmod(mode);
  }
  utimes(atime: Time, mtime: Time): Promise<void> {
    return this.#file.utimes(timeOf(atime), timeOf(mtime));
  }
  /** Resolves when the server has what was written. */
  sync(): Promise<void> {
    return this.#file.sync();
  }
  datasync(): Promise<void> {
    return this.#file.sync();
  }
  close(): Promise<void> {
    return this.#file.close();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The mount in the shape of `node:fs/promises`. */
export function promisesOf(native: NativeFileSystem) {
  function readFile(path: string): Promise<Uint8Array>;
  function readFile(path: string, options: Encoded): Promise<string>;
  function readFile(path: string, options?: { encoding?: null } | null): Promise<Uint8Array>;
  async function readFile(path: string, options?: unknown): Promise<Uint8Array | string> {
    const bytes = await native.readBytes(path);
    const encoding = encodingOf(options);
    return encoding ? Buffer.from(bytes).toString(encoding) : bytes;
  }
  async function writeFile(
    path: string,
    data: string | Uint8Array,
    options?: WriteOptions,
  ): Promise<void> {
    const { flag, mode, flush } = typeof options === 'object' ? options : {};
    await native.writeFile(path, bytesOf(data, options), flag ?? 'w', mode, flush);
  }
  function readdir(path: string): Promise<string[]>;
  function readdir(path: string, options: { withFileTypes: true }): Promise<MesaDirent[]>;
  function readdir(path: string, options?: { withFileTypes?: false }): Promise<string[]>;
  async function readdir(
    path: string,
    options: { withFileTypes?: boolean } = {},
  ): Promise<string[] | MesaDirent[]> {
    if (!options.withFileTypes) return native.readdir(path);
    const entries = await native.readdirWithFileTypes(path);
    return entries.map((entry) => new MesaDirent(entry, path));
  }
  return {
    readFile,
    writeFile,
    readdir,
    /** Writes to the end. */
    appendFile: (
      path: string,
      data: string | Uint8Array,
      options?: WriteOptions,
    ): Promise<void> => {
      const { mode, flush } = typeof options === 'object' ? options : {};
      return native.writeFile(path, bytesOf(data, options), 'a', mode, flush);
    },
    open: async (path: string, flags = 'r', mode?: number): Promise<MesaFileHandle> =>
      new MesaFileHandle(await native.open(path, flags, mode)),
    access: (path: string, mode = 0): Promise<void> => native.access(path, mode),
    stat: async (path: string): Promise<MesaStats> => new MesaStats(await native.stat(path)),
    lstat: async (path: string): Promise<MesaStats> => new MesaStats(await native.lstat(path)),
    mkdir: async (
      path: string,
      options: { recursive?: boolean; mode?: number } = {},
    ): Promise<string | undefined> =>
      (await native.mkdir(path, options.recursive, options.mode)) ?? undefined,
    rm: (path: string, options: { recursive?: boolean; force?: boolean } = {}): Promise<void> =>
      native.rm(path, options.recursive, options.force),
    rmdir: (path: string): Promise<void> => native.rmdir(path),
    unlink: (path: string): Promise<void> => native.unlink(path),
    rename: (from: string, to: string): Promise<void> => native.rename(from, to),
    copyFile: (from: string, to: string, mode = 0): Promise<void> =>
      native.cp(from, to, false, (mode & 1) === 0),
    cp: (
      from: string,
      to: string,
      options: { recursive?: boolean; force?: boolean; preserveTimestamps?: boolean } = {},
    ): Promise<void> =>
      native.cp(from, to, options.recursive, options.force, options.preserveTimestamps),
    chmod: (path: string, mode: number): Promise<void> => native.chmod(path, mode),
    chown: (path: string, uid: number, gid: number): Promise<void> => native.chown(path, uid, gid),
    utimes: (path: string, atime: Time, mtime: Time): Promise<void> =>
      native.utimes(path, timeOf(atime), timeOf(mtime)),
    lutimes: (path: string, atime: Time, mtime: Time): Promise<void> =>
      native.lutimes(path, timeOf(atime), timeOf(mtime)),
    truncate: (path: string, size = 0): Promise<void> => native.truncate(path, size),
    symlink: (target: string, path: string): Promise<void> => native.symlink(target, path),
    link: (existing: string, path: string): Promise<void> => native.link(existing, path),
    readlink: (path: string): Promise<string> => native.readlink(path),
    realpath: (path: string): Promise<string> => native.realpath(path),
    createReadStream: (
      path: string,
      options?: Parameters<typeof readStream>[2],
    ): ReturnType<typeof readStream> => readStream(native, path, options),
    createWriteStream: (
      path: string,
      options?: Parameters<typeof writeStream>[2],
    ): ReturnType<typeof writeStream> => writeStream(native, path, options),
  };
}
