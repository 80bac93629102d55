import type { Api } from '../http/api.js';
import type { RequestOptions } from '../types/common.js';
import type { Diff, DiffGetInput, DiffPatchInput } from '../types/diffs.js';

const ROUTE = '/{org}/{repo}/diff';

/** Differences between changes. Scope of all of it: read. */
export const diffsResource = (api: Api) => ({
  /** Path by path and line by line. */
  get: (input: DiffGetInput, options?: RequestOptions): Promise<Diff> =>
    api.send('GET', ROUTE, input, options),

  /** As one unified patch. */
  getPatch: async (input: DiffPatchInput, options?: RequestOptions): Promise<string> => {
    const call = await api.call('GET', ROUTE, input, options);
    return api.transport.text({ ...call, headers: { accept: 'text/plain' } }, options);
  },
});
