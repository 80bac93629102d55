import type { Api } from '../http/api.js';
import type { PageRequest } from '../http/page.js';
import type { RequestOptions } from '../types/common.js';
import type {
  Action,
  ActionDetails,
  ActionGetInput,
  ActionListInput,
  RestoreInput,
  RestoreResult,
  UndoInput,
  UndoResult,
} from '../types/operations.js';

const CHANGE = '/{org}/{repo}/changes/{change_id}';

/** What was done to a change, and taking it back. */
export const operationsResource = (api: Api) => ({
  /** What programs and requests did, newest first. Scope: read. */
  list: (input: ActionListInput, options?: RequestOptions): PageRequest<'actions', Action> =>
    api.list('actions', `${CHANGE}/operations`, input, options),

  /** The action that an operation belongs to, with its operations. Scope: read. */
  get: (input: ActionGetInput, options?: RequestOptions): Promise<ActionDetails> =>
    api.send('GET', `${CHANGE}/operations/{operation}`, input, options),

  /**
   * Takes back what an action did; what was written later stays, and conflicts with it throw
   * `MergeConflictError`. Called again it goes further back. Scope: write.
   */
  undo: (input: UndoInput, options?: RequestOptions): Promise<UndoResult> =>
    api.send('POST', `${CHANGE}/undo`, input, options),

  /** Brings files and directories back as they were. Scope: write. */
  restore: (input: RestoreInput, options?: RequestOptions): Promise<RestoreResult> =>
    api.send('POST', `${CHANGE}/restore`, input, options),
});
