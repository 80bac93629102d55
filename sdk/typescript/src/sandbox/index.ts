/// <reference lib="esnext.disposable" preserve="true" />

export {
  type BlaxelSandbox,
  blaxel,
  type DaytonaSandbox,
  daytona,
  type E2bSandbox,
  type ExecOptions,
  type ExecOutput,
  e2b,
  exec,
  type Sprite,
  type SpriteProcess,
  type SpriteStream,
  type SuperserveSandbox,
  sprites,
  superserve,
} from './adapters.js';
export {
  SandboxCommandError,
  SandboxError,
  type SandboxFailure,
  SandboxInstallError,
  SandboxKeyError,
  SandboxMountError,
  SandboxNotReadyError,
  SandboxRenewalError,
  SandboxRepoError,
  SandboxRevocationError,
  type SandboxStep,
  SandboxSyncError,
  SandboxUnmountError,
} from './errors.js';
export { mountInSandbox, type RunOptions, type SandboxClient, SandboxMount } from './mount.js';
export type { SandboxMountOptions } from './options.js';
export type { SandboxCommand, SandboxOutput, SandboxRunner } from './runner.js';
export type { InstallMethod } from './scripts.js';
