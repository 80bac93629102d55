/**
 * A mount as the filesystem of a Mastra workspace.
 *
 * ```ts
 * const workspace = new Workspace({ filesystem: new MesaWorkspaceFilesystem(fs, { root: '/acme/notes' }) });
 * ```
 */
import { posix } from 'node:path';
import { codeOf, type FileSystemLike, type StatLike } from '../files/like.js';
import { Subtree } from '../files/subtree.js';

export type { DirentLike, FileSystemLike, StatLike } from '../files/like.js';

/** What a workspace's filesystem is made with. */
export interface WorkspaceFilesystemOptions {
  /** The directory that is `/` for the workspace; all of the mount when absent. */
  root?: string;
  /** Refuse to write, whatever the mount may do. */
  readOnly?: boolean;
  /** How the workspace names it; `mesa` when absent. */
  id?: string;
}

/** Attributes of a path, as Mastra has them. */
export interface WorkspaceStat {
  name: string;
  path: string;
  type: 'file' | 'directory';
  size: number;
  createdAt: Date;
  modifiedAt: Date;
}

/** An entry of a directory, as Mastra has it. */
export interface WorkspaceEntry {
  name: string;
  type: 'file' | 'directory';
  size?: number;
  isSymlink?: boolean;
}

interface ListOptions {
  recursive?: boolean;
  extension?: string | string[];
  maxDepth?: number;
}

/** Mastra's classes of failures, by what the filesystem says. */
interface Failures {
  FileNotFoundError: new (path: string) => Error;
  DirectoryNotFoundError: new (path: string) => Error;
  FileExistsError: new (path: string) => Error;
  IsDirectoryError: new (path: string) => Error;
  NotDirectoryError: new (path: string) => Error;
  DirectoryNotEmptyError: new (path: string) => Error;
  PermissionError: new (path: string, operation: string) => Error;
}

/** A `WorkspaceFilesystem` of Mastra over a mount. Its failures are Mastra's. */
export class MesaWorkspaceFilesystem {
  readonly id: string;
  readonly name = 'MesaWorkspaceFilesystem';
  readonly provider = 'mesa';
  readonly readOnly: boolean;
  status: 'ready' = 'ready' as const;
  readonly #files: Subtree;

  constructor(fs: FileSystemLike, options: WorkspaceFilesystemOptions = {}) {
    this.#files = new Subtree(fs, options.root);
    this.id = options.id ?? 'mesa';
    this.readOnly = options.readOnly ?? false;
  }

  getInfo(): { id: string; name: string; provider: string; status: 'ready'; readOnly: boolean } {
    const { id, name, provider, status, readOnly } = this;
    return { id, name, provider, status, readOnly };
  }

  getInstructions(): string {
    return 'Files are kept in a versioned repository. Paths begin with /.';
  }

  async readFile(path: string, options?: { encoding?: BufferEncoding }): Promise<string | Buffer> {
    const bytes = Buffer.from(await this.#told(path, 'read', () => this.#files.read(path)));
    return options?.encoding ? bytes.toString(options.encoding) : bytes;
  }

  async writeFile(
    path: string,
    content: string | Uint8Array,
    options: { recursive?: boolean; overwrite?: boolean } = {},
  ): Promise<void> {
    await this.#told(path, 'write', async () => {
      this.#writes('write');
      if (options.overwrite === false && (await this.#files.found(path))) throw failed('EEXIST');
      if (options.recursive !== false) await this.#files.write(path, content);
      else await this.#files.fs.writeFile(this.#files.at(path), content);
    });
  }

  async appendFile(path: string, content: string | Uint8Array): Promise<void> {
    await this.#told(path, 'write', async () => {
      this.#writes('write');
      await this.#files.fs.appendFile(this.#files.at(path), content);
    });
  }

  async deleteFile(path: string, options: { force?: boolean } = {}): Promise<void> {
    await this.#told(path, 'delete', async () => {
      this.#writes('delete');
      const found = await this.#files.found(path);
      if (found?.isDirectory) throw failed('EISDIR');
      await this.#files.fs.rm(this.#files.at(path), { force: options.force ?? false });
    });
  }

  async copyFile(
    from: string,
    to: string,
    options: { overwrite?: boolean; recursive?: boolean } = {},
  ): Promise<void> {
    await this.#between(from, to, options, (source, target) =>
      this.#files.fs.cp(source, target, { recursive: options.recursive ?? false }),
    );
  }

  async moveFile(from: string, to: string, options: { overwrite?: boolean } = {}): Promise<void> {
    await this.#between(from, to, options, (source, target) => this.#files.fs.mv(source, target));
  }

  async mkdir(path: string, options: { recursive?: boolean } = {}): Promise<void> {
    await this.#told(path, 'mkdir', async () => {
      this.#writes('mkdir');
      await this.#files.fs.mkdir(this.#files.at(path), { recursive: options.recursive ?? false });
    });
  }

  async rmdir(path: string, options: { recursive?: boolean; force?: boolean } = {}): Promise<void> {
    await this.#told(path, 'rmdir', async () => {
      this.#writes('rmdir');
      const found = await this.#files.found(path);
      if (!found && options.force) return;
      if (!found) throw failed('ENOENT');
      if (!found.isDirectory) throw failed('ENOTDIR');
      const isEmpty = (await this.#files.list(path)).length === 0;
      if (!isEmpty && !options.recursive) throw failed('ENOTEMPTY');
      await this.#files.fs.rm(this.#files.at(path), { recursive: true });
    });
  }

  async readdir(path: string, options: ListOptions = {}): Promise<WorkspaceEntry[]> {
    return this.#told(path, 'readdir', async () => {
      const depth = options.recursive ? (options.maxDepth ?? Number.POSITIVE_INFINITY) : 1;
      const wanted = [options.extension ?? []].flat();
      const base = posix.resolve('/', path);
      const found: WorkspaceEntry[] = [];
      for await (const { path: at, entry } of this.#files.walk(path, depth)) {
        const name = posix.relative(base, at);
        const fits = wanted.some((one) => name.endsWith(one.startsWith('.') ? one : `.${one}`));
        if (wanted.length > 0 && !entry.isDirectory && !fits) continue;
        found.push(await this.#entry(name, at, entry.isDirectory, entry.isSymbolicLink));
      }
      return found;
    });
  }

  async exists(path: string): Promise<boolean> {
    return (await this.#told(path, 'stat', () => this.#files.found(path))) !== null;
  }

  async stat(path: string): Promise<WorkspaceStat> {
    const found = await this.#told(path, 'stat', () => this.#files.stat(path));
    const time = new Date(found.mtime);
    const at = posix.resolve('/', path);
    return {
      name: posix.basename(at),
      path: at,
      type: found.isDirectory ? 'directory' : 'file',
      size: found.isDirectory ? 0 : found.size,
      createdAt: time,
      modifiedAt: time,
    };
  }

  async #entry(
    name: string,
    at: string,
    isDirectory: boolean,
    isSymlink: boolean,
  ): Promise<WorkspaceEntry> {
    if (isDirectory) return { name, type: 'directory' };
    // Of symlinks, what they lead to, if there is something.
    const found: StatLike | null = await this.#files.found(at);
    const type = found?.isDirectory ? 'directory' : 'file';
    return { name, type, size: found?.size ?? 0, ...(isSymlink && { isSymlink }) };
  }

  async #between(
    from: string,
    to: string,
    { overwrite = true }: { overwrite?: boolean },
    work: (source: string, target: string) => Promise<void>,
  ): Promise<void> {
    await this.#told(from, 'write', async () => {
      this.#writes('write');
      if (!(await this.#files.found(from))) throw failed('ENOENT');
    });
    await this.#told(to, 'write', async () => {
      if (!overwrite && (await this.#files.found(to))) throw failed('EEXIST');
      const target = this.#files.at(to);
      await this.#files.fs.mkdir(posix.dirname(target), { recursive: true });
      await work(this.#files.at(from), target);
    });
  }

  #writes(operation: string): void {
    if (this.readOnly) throw failed('EROFS', operation);
  }

  async #told<T>(path: string, operation: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw await translated(error, path, operation);
    }
  }
}

function failed(code: string, what = code): Error & { code: string } {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

/** The failure as Mastra's tools know it. */
async function translated(error: unknown, path: string, operation: string): Promise<unknown> {
  const code = codeOf(error);
  if (!code) return error;
  // By a name that compilers do not follow: whoever calls this has the package.
  const name: string = '@mastra/core/workspace';
  const mastra = (await import(name)) as Failures;
  const ofDirectories = operation === 'readdir' || operation === 'rmdir';
  switch (code) {
    case 'ENOENT':
      return ofDirectories
        ? new mastra.DirectoryNotFoundError(path)
        : new mastra.FileNotFoundError(path);
    case 'EEXIST':
      return new mastra.FileExistsError(path);
    case 'EISDIR':
      return new mastra.IsDirectoryError(path);
    case 'ENOTDIR':
      return new mastra.NotDirectoryError(path);
    case 'ENOTEMPTY':
      return new mastra.DirectoryNotEmptyError(path);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new mastra.PermissionError(path, operation);
    default:
      return error;
  }
}
