import { InvalidOptionsError } from '../errors/index.js';
import { loadAddon } from './addon.js';
import type { LogRecord, NativeConfig, NativeFileSystem, NativeRepo } from './native.js';

/** A repo to mount, at a bookmark or a change: its default bookmark when neither is named. */
export interface MountRepo {
  name: string;
  bookmark?: string | undefined;
  changeId?: string | undefined;
  readOnly?: boolean | undefined;
}

/** What to mount in this process. */
export interface FsMountOptions {
  repos: MountRepo[];
  /** Kept in memory when absent. */
  cache?: { diskCache?: { path: string; maxSizeBytes?: number } } | undefined;
  /** What to be told of the addon's log. */
  telemetry?:
    | { logLevel?: 'error' | 'warn' | 'info' | 'debug'; onLog?: (record: LogRecord) => void }
    | undefined;
  /** Seconds the mount's token lives; the mount ends with it. */
  ttl?: number | undefined;
}

/** What mounts take from the client. */
export interface MountContext {
  apiUrl: string;
  vcsUrl: string;
  resolveOrg: () => Promise<string>;
  /** A token for these repos. */
  token: (repos: MountRepo[], ttl: number | undefined) => Promise<string>;
}

/** Mounts in this process, without FUSE. They need the native addon. */
export const fsResource = (context: MountContext) => ({
  /**
   * Mounts repos. Throws `NativeAddonError` when there is no addon for this platform. The mount
   * connects at its first use.
   */
  mount: async (options: FsMountOptions): Promise<NativeFileSystem> => {
    const repos = checked(options.repos);
    const addon = loadAddon();
    const org = await context.resolveOrg();
    const config: NativeConfig = {
      org,
      apiKey: await context.token(options.repos, options.ttl),
      repos,
      mountedRepos: repos.map(({ name }) => name),
      apiBaseUrl: context.apiUrl,
      vcsUrl: context.vcsUrl,
    };
    if (options.cache) config.cache = options.cache;
    const { logLevel, onLog } = options.telemetry ?? {};
    if (logLevel) config.telemetry = { logLevel };
    return new addon.MesaFileSystem(config, onLog);
  },
});

function checked(repos: MountRepo[]): NativeRepo[] {
  if (repos.length === 0) throw new InvalidOptionsError('repos must name at least one repo');
  return repos.map(({ name, bookmark, changeId, readOnly }) => {
    if (bookmark !== undefined && changeId !== undefined) {
      throw new InvalidOptionsError(`${name}: give a bookmark or a changeId, not both`);
    }
    const repo: NativeRepo = { name };
    if (bookmark !== undefined) repo.bookmark = bookmark;
    if (changeId !== undefined) repo.changeId = changeId;
    if (readOnly !== undefined) repo.readOnly = readOnly;
    return repo;
  });
}
