import { InvalidOptionsError } from '../errors/index.js';
import type { Scope } from '../types/common.js';
import type { SandboxRenewalError } from './errors.js';
import type { SandboxRunner } from './runner.js';
import type { InstallMethod } from './scripts.js';

/** What to mount, and how. */
export interface SandboxMountOptions {
  /** The repo, or its name. */
  repo: string | { id: string; name: string; org?: string | undefined };
  /** Slug of its org; the client's when absent. */
  org?: string | undefined;
  /** What the sandbox may do: `['read', 'write']` when absent; `['read']` mounts read-only. */
  scopes?: Scope[] | undefined;
  /** Seconds each key lives, 100 to 31536000; 3600 when absent. */
  ttlSeconds?: number | undefined;
  /** The key's name, for people; `sandbox-session` when absent. */
  keyName?: string | undefined;
  /** Where to mount, absolute or with `~/`; `~/.local/share/mesa/mnt` when absent. */
  mountPoint?: string | undefined;
  /**
   * How `mesa` comes into the sandbox: by the server's `installer`, by its `package` for the
   * system's package manager, or not at all (`none`: the image has it). When absent `auto`: by the
   * installer if it is not there.
   */
  install?: InstallMethod | undefined;
  /** Which version to install; the server's own when absent. */
  version?: string | undefined;
  /** Whether root opens `/dev/fuse` to everybody; when absent what the adapter knows. */
  setupFuse?: boolean | undefined;
  /** The server as the sandbox reaches it; the client's address when absent. */
  serverUrl?: string | URL | undefined;
  /** The bookmark to work on; the repo's default one when absent. */
  bookmark?: string | undefined;
  /** Whether to write to a change of its own and leave bookmarks where they are. */
  isolate?: boolean | undefined;
  /** More variables for `mesa` in the sandbox, such as `MESA_CA_FILE`. */
  env?: Record<string, string> | undefined;
  /** For each step, in milliseconds; 120000 when absent, from 10000. */
  timeoutMs?: number | undefined;
  /** Whether the mount gets a new key before its key expires, as long as it is open; so when absent. */
  renew?: boolean | undefined;
  /** Told of every renewal that failed; another one is tried as long as the key works. */
  onRenewalError?: ((error: SandboxRenewalError) => void) | undefined;
  /** Ends the mounting; what was done until then is taken back. */
  signal?: AbortSignal | undefined;
}

/** The same, checked and whole. */
export interface Wanted {
  scopes: Scope[];
  ttlSeconds: number;
  keyName: string;
  install: InstallMethod;
  version: string | undefined;
  setupFuse: boolean;
  server: string;
  mountPoint: string | undefined;
  bookmark: string | undefined;
  isolate: boolean;
  readOnly: boolean;
  env: Record<string, string>;
  timeoutMs: number;
  renew: boolean;
  onRenewalError: (error: SandboxRenewalError) => void;
  signal: AbortSignal | undefined;
}

const METHODS = ['auto', 'installer', 'package', 'none'];
const TIMEOUT_MS_MIN = 10_000;
const TIMEOUT_MS_MAX = 3_600_000;

/** Settles what the caller said; nothing was sent yet. */
export function settled(
  given: SandboxMountOptions,
  { apiUrl }: { apiUrl: string },
  { setupFuse, secrets }: SandboxRunner,
): Wanted {
  const scopes = given.scopes ?? ['read', 'write'];
  const { install = 'auto', timeoutMs = 120_000, mountPoint, env = {}, version, bookmark } = given;
  if (!METHODS.includes(install)) refuse(`install must be one of ${METHODS.join(', ')}`);
  if (!(timeoutMs >= TIMEOUT_MS_MIN && timeoutMs <= TIMEOUT_MS_MAX)) {
    refuse(`timeoutMs must be from ${TIMEOUT_MS_MIN} to ${TIMEOUT_MS_MAX}`);
  }
  if (mountPoint !== undefined && !/^(\/|~\/)/.test(mountPoint)) {
    refuse('mountPoint must begin with / or ~/');
  }
  if (version !== undefined && !/^[0-9A-Za-z.+-]+$/.test(version)) refuse('version is none');
  // A list of several is what the variable for it would take it for.
  if (bookmark !== undefined && /[,\s]/.test(bookmark)) refuse('bookmark is no name of one');
  for (const [name, value] of Object.entries(env)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) refuse(`env: ${name} is no name of a variable`);
    if (name === 'MESA_ORGS') refuse('env: MESA_ORGS is what this sets');
    if (secrets === 'stdin' && /[\n\r]/.test(value)) refuse(`env: ${name} has several lines`);
  }
  return {
    scopes,
    ttlSeconds: given.ttlSeconds ?? 3600,
    keyName: given.keyName ?? 'sandbox-session',
    install,
    version,
    setupFuse: given.setupFuse ?? setupFuse,
    server: address(given.serverUrl ?? apiUrl),
    mountPoint,
    bookmark,
    isolate: given.isolate ?? false,
    readOnly: !scopes.some((scope) => scope !== 'read'),
    env,
    timeoutMs,
    renew: given.renew ?? true,
    onRenewalError: given.onRenewalError ?? (() => {}),
    signal: given.signal,
  };
}

/** Without `/v1`, as installers are found below it. */
function address(given: string | URL): string {
  const text = String(given);
  if (!/^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/.test(text))
    refuse('serverUrl is no http or https URL');
  return text.replace(/\/+$/, '').replace(/\/v1$/, '');
}

function refuse(message: string): never {
  throw new InvalidOptionsError(message);
}
