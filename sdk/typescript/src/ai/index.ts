/**
 * Tools for agents of the Vercel AI SDK: files of a mount.
 *
 * ```ts
 * const result = await generateText({ model, tools: fileTools(fs, { root: '/acme/notes' }), prompt });
 * ```
 */
import { codeOf, type FileSystemLike } from '../files/like.js';
import { Subtree } from '../files/subtree.js';
import { type InputSchema, objectSchema } from './schema.js';

export type { DirentLike, FileSystemLike, StatLike } from '../files/like.js';
export type { InputSchema } from './schema.js';

/** A tool, as the AI SDK's `tool` makes it. */
export interface FileTool<I, O> {
  description: string;
  inputSchema: InputSchema<I>;
  /** Failures of the filesystem are answers: the model can do something about them. */
  execute: (input: I, options?: unknown) => Promise<O | ToolFailure>;
}

/** What a tool answers when it could not do it. */
export interface ToolFailure {
  error: string;
}

/** What the tools may do. */
export interface FileToolsOptions {
  /** The directory that is `/` for the model; all of the mount when absent. */
  root?: string;
  /** Only tools that read. */
  readOnly?: boolean;
}

/** Tools that only read. (No interface: the SDK's `ToolSet` takes none.) */
export type ReadingTools = {
  readFile: FileTool<
    { path: string; offset?: number; limit?: number },
    { content: string; lines: number; from: number; to: number }
  >;
  listFiles: FileTool<
    { path: string; recursive?: boolean },
    { entries: { path: string; type: 'file' | 'directory' | 'symlink' }[]; truncated: boolean }
  >;
  searchFiles: FileTool<
    { text: string; path?: string },
    { matches: { path: string; line: number; text: string }[]; truncated: boolean }
  >;
};

/** Tools that write, too. */
export type WritingTools = {
  writeFile: FileTool<{ path: string; content: string }, { written: number }>;
  editFile: FileTool<
    { path: string; oldText: string; newText: string; all?: boolean },
    { replaced: number }
  >;
  moveFile: FileTool<{ from: string; to: string }, { moved: true }>;
  deleteFile: FileTool<{ path: string; recursive?: boolean }, { deleted: true }>;
};

const LINES_MAX = 2000;
const ENTRIES_MAX = 1000;
const MATCHES_MAX = 200;
const SEARCHED_BYTES_MAX = 4_000_000;

const PATH = { type: 'string', description: 'Path from /, the root of the files.' } as const;

/** The tools. With `readOnly` those that write are not among them. */
export function fileTools(
  fs: FileSystemLike,
  options: FileToolsOptions & { readOnly: true },
): ReadingTools;
export function fileTools(
  fs: FileSystemLike,
  options?: FileToolsOptions,
): ReadingTools & WritingTools;
export function fileTools(
  fs: FileSystemLike,
  { root, readOnly = false }: FileToolsOptions = {},
): ReadingTools | (ReadingTools & WritingTools) {
  const files = new Subtree(fs, root);
  return readOnly ? reading(files) : { ...reading(files), ...writing(files) };
}

function reading(files: Subtree): ReadingTools {
  return {
    readFile: {
      description: 'Reads lines of a text file.',
      inputSchema: objectSchema({
        path: PATH,
        offset: { type: 'integer', description: 'First line, from 0.', optional: true },
        limit: { type: 'integer', description: `Lines at most; ${LINES_MAX}.`, optional: true },
      }),
      execute: ({ path, offset = 0, limit = LINES_MAX }) =>
        told(path, async () => {
          const text = await files.text(path);
          if (text === null) return { error: `${path} is no text` };
          const lines = text.split(/(?<=\n)/);
          const from = Math.max(0, offset);
          const wanted = lines.slice(from, from + Math.max(0, limit));
          const total = text === '' ? 0 : lines.length;
          return { content: wanted.join(''), lines: total, from, to: from + wanted.length };
        }),
    },
    listFiles: {
      description: 'Lists a directory.',
      inputSchema: objectSchema({
        path: PATH,
        recursive: { type: 'boolean', description: 'What is below it, too.', optional: true },
      }),
      execute: ({ path, recursive = false }) =>
        told(path, async () => {
          const entries: { path: string; type: 'file' | 'directory' | 'symlink' }[] = [];
          const depth = recursive ? Number.POSITIVE_INFINITY : 1;
          for await (const { path: at, entry } of files.walk(path, depth)) {
            if (entries.length === ENTRIES_MAX) return { entries, truncated: true };
            const type = entry.isDirectory ? 'directory' : entry.isFile ? 'file' : 'symlink';
            entries.push({ path: at, type });
          }
          return { entries, truncated: false };
        }),
    },
    searchFiles: {
      description: 'Finds lines that contain a text, in all files below a directory.',
      inputSchema: objectSchema({
        text: { type: 'string', description: 'The text; no pattern.' },
        path: { ...PATH, optional: true },
      }),
      execute: ({ text, path = '/' }) =>
        told(path, async () => {
          const matches: { path: string; line: number; text: string }[] = [];
          for await (const { path: at, entry } of files.walk(path)) {
            if (!entry.isFile || (await files.stat(at)).size > SEARCHED_BYTES_MAX) continue;
            const content = await files.text(at);
            if (!content?.includes(text)) continue;
            for (const [number, line] of content.split(/\r?\n/).entries()) {
              if (!line.includes(text)) continue;
              if (matches.length === MATCHES_MAX) return { matches, truncated: true };
              matches.push({ path: at, line: number + 1, text: line });
            }
          }
          return { matches, truncated: false };
        }),
    },
  };
}

function writing(files: Subtree): WritingTools {
  return {
    writeFile: {
      description: 'Creates a file or replaces its content; directories are made as needed.',
      inputSchema: objectSchema({
        path: PATH,
        content: { type: 'string', description: 'All of the content.' },
      }),
      execute: ({ path, content }) =>
        told(path, async () => {
          await files.write(path, content);
          return { written: new TextEncoder().encode(content).length };
        }),
    },
    editFile: {
      description: 'Replaces a text in a file that occurs there once.',
      inputSchema: objectSchema({
        path: PATH,
        oldText: { type: 'string', description: 'The text as it stands in the file.' },
        newText: { type: 'string', description: 'What is to stand there.' },
        all: { type: 'boolean', description: 'Wherever it occurs.', optional: true },
      }),
      execute: ({ path, oldText, newText, all = false }) =>
        told(path, async () => {
          const text = await files.text(path);
          if (text === null) return { error: `${path} is no text` };
          const parts = oldText === '' ? [text] : text.split(oldText);
          const count = parts.length - 1;
          if (count === 0) return { error: `the text does not occur in ${path}` };
          if (count > 1 && !all) return { error: `the text occurs ${count} times in ${path}` };
          await files.write(path, parts.join(newText));
          return { replaced: count };
        }),
    },
    moveFile: {
      description: 'Moves or renames a file or directory.',
      inputSchema: objectSchema({ from: PATH, to: PATH }),
      execute: ({ from, to }) =>
        told(from, async () => {
          await files.fs.mv(files.at(from), files.at(to));
          return { moved: true } as const;
        }),
    },
    deleteFile: {
      description: 'Deletes a file, or with recursive a directory.',
      inputSchema: objectSchema({
        path: PATH,
        recursive: { type: 'boolean', description: 'With all below it.', optional: true },
      }),
      execute: ({ path, recursive = false }) =>
        told(path, async () => {
          if (files.at(path) === files.at('/')) return { error: 'the root cannot be deleted' };
          await files.fs.rm(files.at(path), { recursive });
          return { deleted: true } as const;
        }),
    },
  };
}

const SAID: Record<string, string> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'is no directory',
  EISDIR: 'is a directory',
  EEXIST: 'exists already',
  ENOTEMPTY: 'is not empty',
  EROFS: 'is read-only',
  EACCES: 'may not be accessed',
};

/** Failures that a model can do something about, as answers; others are thrown. */
async function told<O>(path: string, work: () => Promise<O>): Promise<O | ToolFailure> {
  try {
    return await work();
  } catch (error) {
    const code = codeOf(error);
    const said = code && SAID[code];
    if (!said) throw error;
    return { error: `${path} ${said} (${code})` };
  }
}
