import { posix } from 'node:path';
import { codeOf, type DirentLike, type FileSystemLike, type StatLike } from './like.js';

/** A file found by a walk. */
export interface Found {
  /** From the subtree's root, with a slash in front. */
  path: string;
  entry: DirentLike;
}

/** What lies below one directory of a filesystem, as a filesystem of its own: dots do not lead out. */
export class Subtree {
  readonly #root: string;

  constructor(
    readonly fs: FileSystemLike,
    root = '/',
  ) {
    this.#root = posix.resolve('/', root);
  }

  /** The path in the whole filesystem. */
  at(path: string): string {
    const below = posix.resolve('/', path);
    return this.#root === '/' ? below : below === '/' ? this.#root : this.#root + below;
  }

  /** The bytes of a file. */
  read(path: string): Promise<Uint8Array> {
    return this.fs.readFileBuffer(this.at(path));
  }

  /** The text of a file; null if it is none. */
  async text(path: string): Promise<string | null> {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        await this.read(path),
      );
    } catch (error) {
      if (error instanceof TypeError) return null;
      throw error;
    }
  }

  /** Writes a file, making its directories. */
  async write(path: string, content: string | Uint8Array): Promise<void> {
    const at = this.at(path);
    await this.fs.mkdir(posix.dirname(at), { recursive: true });
    await this.fs.writeFile(at, content);
  }

  stat(path: string): Promise<StatLike> {
    return this.fs.stat(this.at(path));
  }

  /** What is there; null if nothing is. */
  async found(path: string): Promise<StatLike | null> {
    try {
      return await this.stat(path);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return null;
      throw error;
    }
  }

  /** Entries by name. */
  async list(path: string): Promise<DirentLike[]> {
    const entries = await this.fs.readdirWithFileTypes(this.at(path));
    return [...entries].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Everything below a directory, parents first; symlinks are not followed. */
  async *walk(path: string, depthMax = Number.POSITIVE_INFINITY): AsyncGenerator<Found> {
    if (depthMax < 1) return;
    for (const entry of await this.list(path)) {
      const below = posix.join(posix.resolve('/', path), entry.name);
      yield { path: below, entry };
      if (entry.isDirectory) yield* this.walk(below, depthMax - 1);
    }
  }
}
