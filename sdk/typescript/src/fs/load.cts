// CommonJS in both builds: `require` loads addons (`.node`) and resolves packages from here, which
// `import` cannot do.

/** Loads a module or addon by path or package name. */
export function load(specifier: string): unknown {
  return require(specifier);
}

/** The path a package name stands for; throws when it is not installed. */
export function locate(specifier: string): string {
  return require.resolve(specifier);
}
