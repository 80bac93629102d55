import { InvalidOptionsError } from '../errors/index.js';
import { loadAddon } from './addon.js';
import { MesaFileSystem } from './filesystem.js';
import type { Durability, LogRecord, NativeConfig, NativeRepo, NativeToken } from './native.js';

/** A repo to mount, at a bookmark or a change: its default bookmark when neither is named. */
export interface MountRepo {
  name: string;
  bookmark?: string | undefined;
  changeId?: string | undefined;
  readOnly?: boolean | undefined;
  /** A change of its own instead of joining the bookmark's. */
  isolate?: boolean | undefined;
  /** Where it is shown; `/<org>/<name>` when absent. */
  path?: string | undefined;
}

/** What to mount in this process. */
export interface FsMountOptions {
  repos: MountRepo[];
  /** In a temporary directory when absent. */
  cache?: { diskCache?: { path: string; maxSizeBytes?: number } } | undefined;
  /**
   * When writing calls resolve: `close` (the default) when the server has the file, `fsync` when it
   * is journalled here (`flush`, `close` and file handles' `sync` wait for the server), `write` when
   * the server has every single operation, `local` never for the server.
   */
  durability?: Durability | undefined;
  /** Where unsent work is kept for the next mount; absent: it goes with the process. */
  stateDir?: string | undefined;
  /** Longest wait for the server in milliseconds; 60,000 when absent. */
  timeoutMs?: number | undefined;
  /** Permission bits that new entries do not get; 0o022 when absent. */
  umask?: number | undefined;
  /** What to be told of the addon's log. */
  telemetry?:
    | { logLevel?: 'error' | 'warn' | 'info' | 'debug'; onLog?: (record: LogRecord) => void }
    | undefined;
  /** Seconds a token of the mount lives. It is renewed in time: the mount outlives it. */
  ttl?: number | undefined;
}

/** What mounts take from the client. */
export interface MountContext {
  apiUrl: string;
  vcsUrl: string;
  resolveOrg: () => Promise<string>;
  /** A token for these repos. */
  token: (repos: MountRepo[], ttl: number | undefined) => Promise<NativeToken>;
  userAgent: string;
}

/** Mounts in this process, without FUSE. They need the native addon. */
export const fsResource = (context: MountContext) => ({
  /**
   * Mounts repos. Throws `NativeAddonError` when there is no addon for this platform. The mount
   * connects at its first use.
   */
  mount: async (options: FsMountOptions): Promise<MesaFileSystem> => {
    const repos = checked(options.repos);
    const addon = loadAddon();
    const org = await context.resolveOrg();
    const token = () => context.token(options.repos, options.ttl);
    // Without one nothing could be mounted: better told here than at the first use.
    let first: NativeToken | undefined = await token();
    const next = async (): Promise<NativeToken> => {
      const fresh = first ?? (await token());
      first = undefined;
      return fresh;
    };
    const config: NativeConfig = {
      org,
      repos,
      mountedRepos: repos.map(({ name }) => name),
      apiBaseUrl: context.apiUrl,
      vcsUrl: context.vcsUrl,
      userAgent: context.userAgent,
    };
    const { cache, durability, stateDir, timeoutMs, umask } = options;
    const given = { cache, durability, stateDir, timeoutMs, umask };
    for (const [name, value] of Object.entries(given)) {
      if (value !== undefined) Object.assign(config, { [name]: value });
    }
    const { logLevel, onLog } = options.telemetry ?? {};
    if (logLevel) config.telemetry = { logLevel };
    return new MesaFileSystem(new addon.MesaFileSystem(config, onLog, next));
  },
});

function checked(repos: MountRepo[]): NativeRepo[] {
  if (repos.length === 0) throw new InvalidOptionsError('repos must name at least one repo');
  return repos.map(({ name, bookmark, changeId, readOnly, isolate, path }) => {
    if (bookmark !== undefined && changeId !== undefined) {
      throw new InvalidOptionsError(`${name}: give a bookmark or a changeId, not both`);
    }
    const repo: NativeRepo = { name };
    if (bookmark !== undefined) repo.bookmark = bookmark;
    if (changeId !== undefined) repo.changeId = changeId;
    if (readOnly !== undefined) repo.readOnly = readOnly;
    if (isolate !== undefined) repo.isolate = isolate;
    if (path !== undefined) repo.path = path;
    return repo;
  });
}
