import { InvalidOptionsError } from '../errors/index.js';
import type { Api } from '../http/api.js';
import type { Call } from '../http/transport.js';
import type { RequestOptions } from '../types/common.js';
import type { Content, ContentBytesInput, ContentGetInput } from '../types/content.js';

const ROUTE = '/{org}/{repo}/content';

/** Files and directories of a change. Scope of all of it: read. */
export const contentResource = (api: Api) => ({
  /** What is at a path: a file or symlink with its bytes, or a directory. Up to 16 MB. */
  get: async (input: ContentGetInput, options?: RequestOptions): Promise<Content> => {
    const { metadata, ...others } = input;
    const filters = Object.entries(metadata ?? {}).map(([k, v]) => [`metadata[${k}]`, v]);
    return api.send('GET', ROUTE, { ...others, ...Object.fromEntries(filters) }, options);
  },

  /** The bytes of a file, or some of them. */
  getBytes: async (input: ContentBytesInput, options?: RequestOptions): Promise<Uint8Array> =>
    api.transport.bytes(await bytesCall(api, input, options), options),

  /** The text of a file; U+FFFD stands for what is not UTF-8. */
  getText: async (input: ContentBytesInput, options?: RequestOptions): Promise<string> =>
    new TextDecoder().decode(
      await api.transport.bytes(await bytesCall(api, input, options), options),
    ),

  /** The bytes of a file as they come, for files of any size. */
  stream: async (
    input: ContentBytesInput,
    options?: RequestOptions,
  ): Promise<ReadableStream<Uint8Array>> =>
    api.transport.stream(await bytesCall(api, input, options), options),
});

async function bytesCall(
  api: Api,
  { range, ...input }: ContentBytesInput,
  options?: RequestOptions,
): Promise<Call> {
  const headers: Record<string, string> = { accept: 'application/octet-stream' };
  if (range) headers['range'] = rangeHeader(range);
  return { ...(await api.call('GET', ROUTE, input, options)), headers };
}

function rangeHeader({ start, end }: { start: number; end?: number | undefined }): string {
  const whole = [start, end ?? start].every((n) => Number.isSafeInteger(n) && n >= 0);
  if (!whole || (end !== undefined && end < start)) {
    throw new InvalidOptionsError('range must go from a byte to the same or a later one');
  }
  return `bytes=${start}-${end ?? ''}`;
}
