import { MesaError, named } from '../errors/base.js';

/** What the helper was doing. */
export type SandboxStep =
  | 'repo'
  | 'key'
  | 'install'
  | 'mount'
  | 'ready'
  | 'command'
  | 'renewal'
  | 'sync'
  | 'unmount'
  | 'revocation';

/** The facts of a failed step. No key is in them. */
export interface SandboxFailure {
  /** The sentence before the reason. */
  what: string;
  /** Why. */
  why: string;
  exitCode?: number | undefined;
  output?: string | undefined;
  cause?: unknown;
}

/** A step of the helper failed. Keys never stand in its message, output or cause. */
export class SandboxError extends MesaError {
  /** The step. */
  readonly step: SandboxStep;
  /** Of the command in the sandbox; undefined if none ran to its end. */
  readonly exitCode: number | undefined;
  /** What the command printed, standard output first. */
  readonly output: string;
  /** The id of a key that could not be revoked and works until it expires. */
  unrevokedKeyId: string | undefined;

  constructor(step: SandboxStep, { what, why, exitCode, output, cause }: SandboxFailure) {
    const options = cause === undefined ? undefined : { cause };
    super(`SANDBOX_${step.toUpperCase()}_FAILED`, `${what}: ${why}`, options);
    this.step = step;
    this.exitCode = exitCode;
    this.output = output ?? '';
    this.unrevokedKeyId = undefined;
  }
  static {
    named(SandboxError, 'SandboxError');
  }
}

/** The repo is not there, or the credential does not see it; `cause` is the refusal. */
export class SandboxRepoError extends SandboxError {
  constructor(failure: SandboxFailure) {
    super('repo', failure);
  }
  static {
    named(SandboxRepoError, 'SandboxRepoError');
  }
}

/** No key could be made for the sandbox; `cause` is the refusal. */
export class SandboxKeyError extends SandboxError {
  constructor(failure: SandboxFailure) {
    super('key', failure);
  }
  static {
    named(SandboxKeyError, 'SandboxKeyError');
  }
}

/** `mesa` could not be installed in the sandbox. */
export class SandboxInstallError extends SandboxError {
  constructor(failure: SandboxFailure) {
    super('install', failure);
  }
  static {
    named(SandboxInstallError, 'SandboxInstallError');
  }
}

/** `mesa mount` failed in the sandbox. */
export class SandboxMountError extends SandboxError {
  constructor(failure: SandboxFailure) {
    super('mount', failure);
  }
  static {
    named(SandboxMountError, 'SandboxMountError');
  }
}

/** The mount is there, but the repo did not appear in it in time. */
export class SandboxNotReadyError extends SandboxError {
  constructor(failure: SandboxFailure) {
    super('ready', failure);
  }
  static {
    named(SandboxNotReadyError, 'SandboxNotReadyError');
  }
}

/** A command of the caller ended with another exit code than 0, or was not run. */
export class SandboxCommandError extends SandboxError {
  constructor(failure: SandboxFailure) {
    super('command', failure);
  }
  static {
    named(SandboxCommandError, 'SandboxCommandError');
  }
}

/** The mount could not be given a new key; the one it has works until it expires. */
export class SandboxRenewalError extends SandboxError {
  constructor(failure: SandboxFailure) {
    super('renewal', failure);
  }
  static {
    named(SandboxRenewalError, 'SandboxRenewalError');
  }
}

/**
 * Not everything is on the server. What was not sent stays in the sandbox and goes up when the repo
 * is mounted there again.
 */
export class SandboxSyncError extends SandboxError {
  constructor(failure: SandboxFailure) {
    super('sync', failure);
  }
  static {
    named(SandboxSyncError, 'SandboxSyncError');
  }
}

/** Everything is on the server, but the mount could not be taken away. */
export class SandboxUnmountError extends SandboxError {
  constructor(failure: SandboxFailure) {
    super('unmount', failure);
  }
  static {
    named(SandboxUnmountError, 'SandboxUnmountError');
  }
}

/** The sandbox's key could not be revoked; it works until it expires. `cause` is the refusal. */
export class SandboxRevocationError extends SandboxError {
  constructor(failure: SandboxFailure) {
    super('revocation', failure);
  }
  static {
    named(SandboxRevocationError, 'SandboxRevocationError');
  }
}

/** The class for each step. */
export const CLASSES = {
  repo: SandboxRepoError,
  key: SandboxKeyError,
  install: SandboxInstallError,
  mount: SandboxMountError,
  ready: SandboxNotReadyError,
  command: SandboxCommandError,
  renewal: SandboxRenewalError,
  sync: SandboxSyncError,
  unmount: SandboxUnmountError,
  revocation: SandboxRevocationError,
} satisfies Record<SandboxStep, new (failure: SandboxFailure) => SandboxError>;
