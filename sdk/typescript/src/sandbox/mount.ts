import { AbortedError } from '../errors/index.js';
import type { ApiKeyCreated, ApiKeyCreateInput, ApiKeyRevokeInput } from '../types/keys.js';
import type { Repo } from '../types/repos.js';
import { Access } from './access.js';
import { SandboxError, SandboxRenewalError } from './errors.js';
import { type SandboxMountOptions, settled, type Wanted } from './options.js';
import type { SandboxOutput, SandboxRunner } from './runner.js';
import * as scripts from './scripts.js';

/** The parts of a client that are used; `Mesa` has them. */
export interface SandboxClient {
  apiUrl: string;
  resolveOrg(org?: string): Promise<string>;
  repos: { get(input: { org?: string; repo: string }): Promise<Repo> };
  apiKeys: {
    create(input: ApiKeyCreateInput): Promise<ApiKeyCreated>;
    revoke(input: ApiKeyRevokeInput): Promise<unknown>;
  };
}

/** How a caller's command is run. */
export interface RunOptions {
  env?: Record<string, string> | undefined;
  /** In milliseconds; 600000 when absent. */
  timeoutMs?: number | undefined;
}

/** How long taking back may take in all its steps, when something failed. */
const TAKE_BACK_MS = 20_000;
const RETRY_MS_MAX = 30_000;
/** Timers don't run while a machine sleeps, keys do. */
const LOOK_MS_MAX = 60_000;
/** A key that has less left is renewed before what is left is sent. */
const LEFT_MS_MIN = 30_000;
/** Between two renewals at least, whatever the server says of its keys. */
const RENEWAL_MS_MIN = 1_000;

/** A key of the sandbox. */
interface Key {
  id: string;
  secret: string;
  madeAtMs: number;
  expiresAtMs: number;
}

/**
 * A repo in a sandbox. It lasts until `close()`, for which `await using` cares as well.
 */
export class SandboxMount {
  /** The repo's directory in the sandbox, absolute. */
  readonly path: string;
  /** Slug of the repo's org. */
  readonly org: string;
  /** The repo's name. */
  readonly repo: string;
  readonly #inner: Inner;

  /** @internal */
  constructor(inner: Inner, path: string) {
    this.#inner = inner;
    this.path = path;
    this.org = inner.place.org;
    this.repo = inner.place.repo;
  }

  /** The id of the key that the mount has now. */
  get keyId(): string {
    return this.#inner.key.id;
  }

  /** When that key expires. */
  get expiresAt(): Date {
    return new Date(this.#inner.key.expiresAtMs);
  }

  /** Runs a shell command in the repo's directory; another exit code than 0 is an error. */
  async run(
    command: string,
    { env = {}, timeoutMs = 600_000 }: RunOptions = {},
  ): Promise<SandboxOutput> {
    return this.#inner.access.run({
      step: 'command',
      what: 'The command in the sandbox failed',
      text: scripts.inside(this.path, command),
      env: { ...this.#inner.wanted.env, ...env },
      timeoutMs,
    });
  }

  /** Returns when everything written so far is on the server. */
  async sync(): Promise<void> {
    await this.#inner.sync();
  }

  /** Gives the mount a new key and revokes the one it has; programs in the mount notice nothing. */
  async renew(): Promise<void> {
    await this.#inner.renew();
  }

  /**
   * Sends everything, unmounts and revokes the key, which happens whatever fails before it. The
   * first failure is thrown. Closing again does nothing.
   */
  async close(): Promise<void> {
    await this.#inner.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Mounts a repo in a sandbox: makes a key for this repo that expires, installs `mesa` if it is not
 * there, mounts, and returns when the directory can be used. Needs the admin scope, for the key.
 *
 * ```ts
 * await using work = await mountInSandbox(mesa, e2b(sandbox), { repo: 'agent-workspace' });
 * await sandbox.commands.run(`cd ${work.path} && claude -p "Implement TODO.md"`);
 * ```
 *
 * When a step fails, its {@link SandboxError} is thrown after what was done is taken back.
 */
export async function mountInSandbox(
  mesa: SandboxClient,
  sandbox: SandboxRunner,
  options: SandboxMountOptions,
): Promise<SandboxMount> {
  const wanted = settled(options, mesa, sandbox);
  const access = new Access(sandbox);
  const { id, name, org } = await found(mesa, access, options);
  const place = { ...wanted, org, repo: name };
  const inner = new Inner(mesa, access, wanted, place, id);
  const path = await inner.open();
  return new SandboxMount(inner, path);
}

/** The repo to mount. */
async function found(mesa: SandboxClient, access: Access, { repo, org }: SandboxMountOptions) {
  try {
    if (typeof repo === 'object') {
      return { id: repo.id, name: repo.name, org: await mesa.resolveOrg(org ?? repo.org) };
    }
    const slug = await mesa.resolveOrg(org);
    const { id, name } = await mesa.repos.get({ org: slug, repo });
    return { id, name, org: slug };
  } catch (cause) {
    const what = 'The repo for the sandbox cannot be mounted';
    throw access.failure('repo', { what, why: String((cause as Error).message), cause });
  }
}

/** What a mount does; kept apart from what its user sees of it. */
class Inner {
  #key: Key | undefined;
  #isOurs = false;
  #alarm: NodeJS.Timeout | undefined;
  /** Renewals and the end, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #end: Promise<void> | undefined;

  constructor(
    private readonly mesa: SandboxClient,
    readonly access: Access,
    readonly wanted: Wanted,
    readonly place: scripts.Place & { org: string; repo: string },
    private readonly repoId: string,
  ) {}

  get key(): Key {
    if (!this.#key) throw new Error('There is no key yet');
    return this.#key;
  }

  async open(): Promise<string> {
    this.#key = await this.#makeKey('key', 'No key could be made for the sandbox');
    try {
      await this.#install();
      return await this.#start();
    } catch (error) {
      throw await this.#takenBack(error);
    }
  }

  async #install(): Promise<void> {
    this.#check();
    const text = scripts.install(this.place);
    if (text === undefined) return;
    const what = 'mesa could not be installed in the sandbox';
    const { env, timeoutMs } = this.wanted;
    await this.access.run({ step: 'install', what, text, env, asRoot: true, timeoutMs });
  }

  async #start(): Promise<string> {
    const { bookmark, env, timeoutMs } = this.wanted;
    const what = 'The repo could not be mounted in the sandbox';
    this.#check();
    const { mount_point, already_mounted } = await this.#mount(this.key);
    // A mount that was there before is not taken away by a failure here.
    this.#isOurs = !already_mounted;
    const path = `${mount_point}/${this.place.org}/${this.place.repo}`;
    this.#check();
    const absent = 'The repo did not appear in the mount';
    const text = scripts.ready(path, this.place);
    await this.access.run({ step: 'ready', what: absent, text, env, timeoutMs });
    if (already_mounted && bookmark !== undefined) {
      const text = scripts.edit(path, bookmark);
      await this.access.run({ step: 'mount', what, text, env, timeoutMs });
    }
    this.#check();
    if (this.wanted.renew) this.#arm();
    return path;
  }

  async #mount(key: Key, how?: { again: boolean }): Promise<scripts.Mounted> {
    const { env, timeoutMs } = this.wanted;
    const what = 'The repo could not be mounted in the sandbox';
    const text = scripts.mount(this.place, how);
    const secret = { MESA_ORGS: `${this.place.org}:${key.secret}` };
    const all = { ...env, ...secret };
    const done = await this.access.run({ step: 'mount', what, text, env: all, timeoutMs });
    const answer = scripts.mounted(done.stdout);
    if (answer) return answer;
    const why = 'mesa mount did not say where it is mounted';
    const output = `${done.stdout}${done.stderr}`;
    throw this.access.failure('mount', { what, why, exitCode: 0, output });
  }

  async sync(): Promise<void> {
    const { env, timeoutMs } = this.wanted;
    const what = 'Not everything is on the server';
    const text = scripts.sync(this.place);
    await this.access.run({ step: 'sync', what, text, env, timeoutMs });
  }

  renew(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#end) return;
      await this.#renewed();
    });
  }

  close(): Promise<void> {
    this.#end ??= this.#inTurn(() => this.#closed());
    return this.#end;
  }

  async #closed(): Promise<void> {
    clearTimeout(this.#alarm);
    this.#alarm = undefined;
    const { env, timeoutMs } = this.wanted;
    try {
      // A key that is about to expire, or did while this machine slept, sends nothing any more.
      if (this.wanted.renew && this.key.expiresAtMs - Date.now() < LEFT_MS_MIN) {
        await this.#renewed().catch(() => {});
      }
      const unsent = await errorOf(this.sync());
      // Nobody answers there: unmounting would fail as well.
      if (unsent && unsent.exitCode === undefined) throw unsent;
      const what = 'The sandbox could not be unmounted';
      const unmount = (force: boolean) => {
        const text = scripts.unmount(this.place, { force });
        return errorOf(this.access.run({ step: 'unmount', what, text, env, timeoutMs }));
      };
      // What is in use is let go of by force once nothing can be lost by it. What could not be sent
      // waits in the sandbox for the next mount.
      const busy = unsent ? undefined : await unmount(false);
      const stuck = unsent || busy ? await unmount(true) : undefined;
      if (unsent ?? stuck) throw unsent ?? stuck;
    } catch (error) {
      throw await this.#revoked(error);
    }
    const failed = await this.#revocation(this.key);
    if (failed) throw failed;
  }

  /** Undoes a mount that failed half-way; answers the error to throw. */
  async #takenBack(error: unknown): Promise<unknown> {
    const isReached = !(error instanceof SandboxError) || error.exitCode !== undefined;
    if (this.#isOurs && isReached) {
      const { env } = this.wanted;
      const place = { ...this.place, timeoutMs: TAKE_BACK_MS };
      const text = scripts.unmount(place, { force: true });
      const what = 'The sandbox could not be unmounted';
      await errorOf(this.access.run({ step: 'unmount', what, text, env, timeoutMs: TAKE_BACK_MS }));
    }
    return this.#revoked(error);
  }

  /** Revokes the key because of an error, which it answers. */
  async #revoked(error: unknown): Promise<unknown> {
    const failed = await this.#revocation(this.key);
    if (failed && error instanceof SandboxError) error.unrevokedKeyId = this.key.id;
    return error;
  }

  async #revocation(key: Key): Promise<SandboxError | undefined> {
    try {
      await this.mesa.apiKeys.revoke({ org: this.place.org, id: key.id });
      return undefined;
    } catch (cause) {
      const what = `The key ${key.id} of the sandbox could not be revoked`;
      const why = String((cause as Error).message);
      const error = this.access.failure('revocation', { what, why, cause });
      error.unrevokedKeyId = key.id;
      return error;
    }
  }

  async #makeKey(step: 'key' | 'renewal', what: string): Promise<Key> {
    const { keyName, scopes, ttlSeconds } = this.wanted;
    const madeAtMs = Date.now();
    try {
      const { id, key, created_at, expires_at } = await this.mesa.apiKeys.create({
        org: this.place.org,
        name: keyName,
        scopes,
        expires_in_seconds: ttlSeconds,
        repo_ids: [this.repoId],
      });
      this.access.hide(key);
      // The server's clock may differ from this machine's; how long a key lives does not.
      const lifeMs = Date.parse(expires_at ?? '') - Date.parse(created_at) || ttlSeconds * 1000;
      return { id, secret: key, madeAtMs, expiresAtMs: madeAtMs + lifeMs };
    } catch (cause) {
      throw this.access.failure(step, { what, why: String((cause as Error).message), cause });
    }
  }

  async #renewed(): Promise<void> {
    const what = 'The mount in the sandbox could not be given a new key';
    const old = this.key;
    const fresh = await this.#makeKey('renewal', what);
    try {
      await this.#mount(fresh, { again: true });
    } catch (thrown) {
      const failed = await this.#revocation(fresh);
      const { message, exitCode, output } = thrown as SandboxError;
      const error = this.access.failure('renewal', { what, why: message, exitCode, output });
      if (failed) error.unrevokedKeyId = fresh.id;
      throw error;
    }
    this.#key = fresh;
    // One that stays works until it expires, which is soon.
    await this.#revocation(old);
    if (this.#alarm !== undefined) this.#arm();
  }

  /** Sets the alarm for the next renewal: when a quarter of the key's life is left. */
  #arm(waitMs?: number): void {
    const { madeAtMs, expiresAtMs } = this.key;
    const due = expiresAtMs - (expiresAtMs - madeAtMs) / 4;
    const ms = Math.max(RENEWAL_MS_MIN, waitMs ?? due - Date.now());
    clearTimeout(this.#alarm);
    this.#alarm = setTimeout(() => this.#ring(due), Math.min(ms, LOOK_MS_MAX));
    // It keeps no program alive that has nothing else to do.
    this.#alarm.unref();
  }

  async #ring(due: number): Promise<void> {
    if (this.#end) return;
    if (Date.now() < due) {
      this.#arm();
      return;
    }
    try {
      await this.renew();
    } catch (error) {
      // Also after the key has expired: the next one revives the mount.
      const left = this.key.expiresAtMs - Date.now();
      if (!this.#end) this.#arm(left > 0 ? Math.min(RETRY_MS_MAX, left / 4) : RETRY_MS_MAX);
      if (error instanceof SandboxRenewalError) this.wanted.onRenewalError(error);
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  #check(): void {
    const { signal } = this.wanted;
    if (signal?.aborted) throw new AbortedError(signal.reason);
  }
}

/** What a step throws, or undefined. */
async function errorOf(step: Promise<unknown>): Promise<SandboxError | undefined> {
  try {
    await step;
    return undefined;
  } catch (error) {
    if (error instanceof SandboxError) return error;
    throw error;
  }
}
