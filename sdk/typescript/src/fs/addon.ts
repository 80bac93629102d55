import { NativeAddonError } from '../errors/index.js';
import { load, locate } from './load.cjs';
import type { NativeAddon } from './native.js';

/** Names the addon's file when it is set: for local builds, and for tests with one of their own. */
const PATH_VARIABLE = 'MESA_NAPI_PATH';

/** The package that holds the addon for this platform. */
export function platformPackage(): string {
  const { platform, arch } = process;
  return `@mesadev/mesafs-napi-${platform}-${arch}${platform === 'linux' ? `-${libc()}` : ''}`;
}

/** The addon, loaded when it is first needed. Node keeps what it has loaded. */
export function loadAddon(env: Record<string, string | undefined> = process.env): NativeAddon {
  const path = env[PATH_VARIABLE]?.trim();
  if (path) return loaded(path, `${path} (${PATH_VARIABLE})`);
  const name = platformPackage();
  let found: string;
  try {
    found = locate(name);
  } catch (cause) {
    throw new NativeAddonError(
      'NATIVE_ADDON_MISSING',
      `Mounts need the native addon: install ${name}, or set ${PATH_VARIABLE} to its file`,
      { cause },
    );
  }
  return loaded(found, name);
}

function loaded(specifier: string, shown: string): NativeAddon {
  let addon: Partial<NativeAddon> | undefined;
  try {
    addon = load(specifier) as Partial<NativeAddon> | undefined;
  } catch (cause) {
    const why = `The native addon ${shown} cannot be loaded`;
    throw new NativeAddonError('NATIVE_ADDON_UNUSABLE', why, { cause });
  }
  if (typeof addon?.MesaFileSystem === 'function') return addon as NativeAddon;
  const why = `${shown} is no Mesa addon: it has no MesaFileSystem`;
  throw new NativeAddonError('NATIVE_ADDON_UNUSABLE', why);
}

/** The C library of this process: of two builds for Linux only one loads. */
function libc(): 'gnu' | 'musl' {
  const report = process.report?.getReport() as { header?: object } | undefined;
  return report?.header && 'glibcVersionRuntime' in report.header ? 'gnu' : 'musl';
}
