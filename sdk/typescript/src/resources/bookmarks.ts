import type { Api } from '../http/api.js';
import type { PageRequest } from '../http/page.js';
import type {
  Bookmark,
  BookmarkCreateInput,
  BookmarkDeleteInput,
  BookmarkGetInput,
  BookmarkListInput,
  BookmarkMergeInput,
  BookmarkMoved,
  BookmarkMoveInput,
  MergeResult,
} from '../types/bookmarks.js';
import type { RequestOptions, Success } from '../types/common.js';
import { encodedResolutions } from './bytes.js';

/** Bookmarks: names for changes. */
export const bookmarksResource = (api: Api) => ({
  /** Bookmarks by name. Scope: read. */
  list: (input: BookmarkListInput, options?: RequestOptions): PageRequest<'bookmarks', Bookmark> =>
    api.list('bookmarks', '/{org}/{repo}/bookmarks', input, options),

  /** Scope: read. */
  get: (input: BookmarkGetInput, options?: RequestOptions): Promise<Bookmark> =>
    api.send('GET', '/{org}/{repo}/bookmarks/{bookmark}', input, options),

  /** Scope: write. */
  create: (input: BookmarkCreateInput, options?: RequestOptions): Promise<Bookmark> =>
    api.send('POST', '/{org}/{repo}/bookmarks', input, options),

  /** Points it at another change, forwards unless `allow_backwards` is set. Scope: write. */
  move: (input: BookmarkMoveInput, options?: RequestOptions): Promise<BookmarkMoved> =>
    api.send('PATCH', '/{org}/{repo}/bookmarks/{bookmark}', input, options),

  /** Scope: write. */
  delete: (input: BookmarkDeleteInput, options?: RequestOptions): Promise<Success> =>
    api.send('DELETE', '/{org}/{repo}/bookmarks/{bookmark}', input, options),

  /**
   * Merges one bookmark into another. Conflicts throw `MergeConflictError`, whose `conflicts` name
   * the hunks, unless `resolutions` cover them or `allow_conflicted` is set. Scope: write.
   */
  merge: async (input: BookmarkMergeInput, options?: RequestOptions): Promise<MergeResult> =>
    api.send('POST', '/{org}/{repo}/bookmarks/merge', encodedResolutions(input), options),
});
