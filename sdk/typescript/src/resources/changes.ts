import type { Api } from '../http/api.js';
import type { PageRequest } from '../http/page.js';
import type {
  Change,
  ChangeAbandoned,
  ChangeAbandonInput,
  ChangeClosed,
  ChangeCloseInput,
  ChangeCreateInput,
  ChangeDetails,
  ChangeGetInput,
  ChangeListInput,
  ChangeUpdateInput,
} from '../types/changes.js';
import type { RequestOptions } from '../types/common.js';
import { encodedFiles, encodedResolutions } from './bytes.js';

/** Changes: what is written, with one id through all its commits. */
export const changesResource = (api: Api) => {
  const update = async (input: ChangeUpdateInput, options?: RequestOptions): Promise<Change> =>
    api.send(
      'PATCH',
      '/{org}/{repo}/changes/{change_id}',
      encodedResolutions(encodedFiles(input)),
      options,
    );
  return {
    /** The changes a bookmark holds, newest first. Scope: read. */
    list: (input: ChangeListInput, options?: RequestOptions): PageRequest<'changes', Change> =>
      api.list('changes', '/{org}/{repo}/changes', input, options),

    /** A change with the paths it touches. Scope: read. */
    get: (input: ChangeGetInput, options?: RequestOptions): Promise<ChangeDetails> =>
      api.send('GET', '/{org}/{repo}/changes/{change_id}', input, options),

    /** Makes a change on top of another one, with file operations. Scope: write. */
    create: async (input: ChangeCreateInput, options?: RequestOptions): Promise<Change> =>
      api.send('POST', '/{org}/{repo}/changes', encodedFiles(input), options),

    /** Amends a change: files, description, or resolutions of its conflicts. Scope: write. */
    update,

    /** Closes a change: who writes to it goes on in the next one. Scope: write. */
    close: (input: ChangeCloseInput, options?: RequestOptions): Promise<ChangeClosed> =>
      api.send('POST', '/{org}/{repo}/changes/{change_id}/new', input, options),

    /** Gives a change up, or with `undo` brings it back. Scope: write. */
    abandon: (input: ChangeAbandonInput, options?: RequestOptions): Promise<ChangeAbandoned> =>
      api.send('POST', '/{org}/{repo}/changes/{change_id}/abandon', input, options),

    /** The published client's name of `update`. */
    patch: update,
  };
};
