// Which module a guide's import means.
const here = (file) => ({ url: new URL(file, import.meta.url).href, shortCircuit: true });

export const resolve = (name, context, next) => {
  const providers = ['e2b', '@daytonaio/sdk', '@blaxel/core', '@superserve/sdk', '@fly/sprites'];
  if (providers.includes(name)) return here('providers.mjs');
  // Programs of the kits have the SDK of this repository, guides the published one.
  if (name.startsWith('@mesadev/sdk') && context.parentURL.endsWith('.js'))
    return next(name, { ...context, parentURL: new URL('../../../kits/adapters.ts', import.meta.url).href });
  if (name === '@mesadev/sdk' && !context.parentURL.endsWith('/sdk.mjs')) return here('sdk.mjs');
  if (name === '@mesadev/sdk')
    context = { ...context, parentURL: new URL('../../../tests/clients/node/support.mjs', import.meta.url).href };
  return next(name, context);
};
