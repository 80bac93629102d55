/** @ts-ignore Where Node's types are not installed, streams are of any type. */
import type { Readable, Writable } from 'node:stream';
import { Readable as NodeReadable, Writable as NodeWritable } from 'node:stream';
import type { NativeFile, NativeFileSystem, TextEncoding } from './native.js';

/** Bytes read at once. */
const PIECE = 1024 * 1024;

/** What of a file is streamed. */
export interface ReadStreamOptions {
  /** Where to begin. */
  start?: number | undefined;
  /** The last byte, included, as in Node. */
  end?: number | undefined;
  encoding?: TextEncoding | undefined;
  highWaterMark?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** How a file is written from a stream. */
export interface WriteStreamOptions {
  /** `w` when absent. */
  flags?: string | undefined;
  mode?: number | undefined;
  start?: number | undefined;
  /** The stream finishes when the server has everything. */
  durable?: boolean | undefined;
  highWaterMark?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Reads a file piece by piece; the next when the last was taken. */
export function readStream(
  native: NativeFileSystem,
  path: string,
  options: ReadStreamOptions = {},
): Readable {
  let file: NativeFile | undefined;
  let at = options.start ?? 0;
  const end = options.end === undefined ? Number.POSITIVE_INFINITY : options.end + 1;
  return new NodeReadable({
    highWaterMark: options.highWaterMark ?? PIECE,
    encoding: options.encoding,
    signal: options.signal,
    construct: (done) => {
      native.open(path, 'r').then((opened) => {
        file = opened;
        done();
      }, done);
    },
    read(size) {
      const length = Math.min(Math.max(size, 64 * 1024), PIECE, end - at);
      if (!file || length <= 0) {
        this.push(null);
        return;
      }
      file.read(at, length).then(
        (bytes) => {
          at += bytes.length;
          this.push(bytes.length === 0 ? null : bytes);
        },
        (error) => this.destroy(error),
      );
    },
    destroy: (error, done) => {
      if (!file) return done(error);
      file.close().then(
        () => done(error),
        (closing) => done(error ?? closing),
      );
    },
  });
}

/** Writes a file piece by piece; takes the next when the last is written. */
export function writeStream(
  native: NativeFileSystem,
  path: string,
  options: WriteStreamOptions = {},
): Writable {
  let file: NativeFile | undefined;
  let at = options.start ?? 0;
  const write = async (bytes: Uint8Array): Promise<void> => {
    await file?.write(at, bytes);
    at += bytes.length;
  };
  const close = async (): Promise<void> => {
    const open = file;
    file = undefined;
    await open?.close();
  };
  const settle = (work: Promise<void>, done: (error?: Error | null) => void) => {
    work.then(() => done(), done);
  };
  return new NodeWritable({
    highWaterMark: options.highWaterMark ?? PIECE,
    signal: options.signal,
    construct: (done) => {
      native.open(path, options.flags ?? 'w', options.mode, options.durable).then((opened) => {
        file = opened;
        done();
      }, done);
    },
    write: (chunk: Buffer, _encoding, done) => settle(write(chunk), done),
    writev: (chunks, done) => {
      settle(write(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer))), done);
    },
    // What the mount's durability promises holds when the stream has finished.
    final: (done) => settle(close(), done),
    destroy: (error, done) => {
      close().then(
        () => done(error),
        (closing) => done(error ?? closing),
      );
    },
  });
}
