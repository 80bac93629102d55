import type { Api } from '../http/api.js';
import type { PageRequest } from '../http/page.js';
import type { RequestOptions, Success } from '../types/common.js';
import type {
  Repo,
  RepoBulkTagsInput,
  RepoBulkTagsResult,
  RepoCreateInput,
  RepoDeleteInput,
  RepoGetInput,
  RepoListInput,
  RepoUpdateInput,
  Sync,
  SyncCreateInput,
  SyncGetInput,
  SyncListInput,
} from '../types/repos.js';

/** Repos and the git remotes they follow. */
export const reposResource = (api: Api) => ({
  /** Repos by name. Scope: read. */
  list: (input?: RepoListInput, options?: RequestOptions): PageRequest<'repos', Repo> =>
    api.list('repos', '/{org}/repos', input, options),

  /** Makes a repo. Scope: write. */
  create: (input?: RepoCreateInput, options?: RequestOptions): Promise<Repo> =>
    api.send('POST', '/{org}/repos', input, options),

  /** Scope: read. */
  get: (input: RepoGetInput, options?: RequestOptions): Promise<Repo> =>
    api.send('GET', '/{org}/{repo}', input, options),

  /** Renames, labels or reconnects a repo. Scope: write. */
  update: (input: RepoUpdateInput, options?: RequestOptions): Promise<Repo> =>
    api.send('PATCH', '/{org}/{repo}', input, options),

  /** Scope: write. */
  delete: (input: RepoDeleteInput, options?: RequestOptions): Promise<Success> =>
    api.send('DELETE', '/{org}/{repo}', input, options),

  /** Sets or removes one tag of many repos. Scope: write. */
  bulkUpdateTags: (
    input: RepoBulkTagsInput,
    options?: RequestOptions,
  ): Promise<RepoBulkTagsResult> => api.send('PATCH', '/{org}/repos/tags', input, options),

  /** Starts an exchange with the git remote. Scope: write. */
  syncUpstream: (input: SyncCreateInput, options?: RequestOptions): Promise<Sync> =>
    api.send('POST', '/{org}/{repo}/upstream/syncs', input, options),

  /** Scope: read. */
  getUpstreamSync: (input: SyncGetInput, options?: RequestOptions): Promise<Sync> =>
    api.send('GET', '/{org}/{repo}/upstream/syncs/{syncId}', input, options),

  /** Exchanges with the git remote, newest first. Scope: read. */
  listUpstreamSyncs: (input: SyncListInput, options?: RequestOptions): PageRequest<'syncs', Sync> =>
    api.list('syncs', '/{org}/{repo}/upstream/syncs', input, options),
});
