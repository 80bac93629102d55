import { NativeAddonError } from '../errors/index.js';
import type { MesaFileSystem } from './filesystem.js';
import { load, locate } from './load.cjs';

/** What a shell starts with. The rest goes to just-bash as it is. */
export interface BashOptions {
  env?: Record<string, string>;
  /** `/` when absent. */
  cwd?: string;
  [option: string]: unknown;
}

/** What a script did. */
export interface BashResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

/** A shell of just-bash. */
export interface Bash {
  exec(script: string, options?: Record<string, unknown>): Promise<BashResult>;
}

/** A shell on a mount. */
export function bashOf(fs: MesaFileSystem, options: BashOptions): Bash {
  let path: string;
  try {
    path = locate('just-bash');
  } catch (cause) {
    throw new NativeAddonError('BASH_MISSING', 'bash() needs the package just-bash: install it', {
      cause,
    });
  }
  const { Bash } = load(path) as { Bash: new (options: object) => Bash };
  return new Bash({ cwd: '/', ...options, fs });
}
