// The examples of the README, compiled and run as they stand; those that need a sandbox, compiled.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { unlessServed } from './support/index.js';
import { environment, ran } from './support/program.js';

const here = fileURLToPath(new URL('.', import.meta.url));

const root = join(here, '..');
const directory = join(root, 'build/readme');
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** Examples with their heading and, from a comment before them, the routes they need. */
const examples = [...readme.matchAll(/(?:<!-- (?:needs )?(.*) -->\n)?```ts\n([\s\S]*?)```/g)].map(
  (match, n) => {
    const before = readme.slice(0, match.index).split(/^## /m);
    const isRun = match[1] !== 'compiled only';
    const routes = ((isRun && match[1]) || '').split(', ').filter((route) => route !== '');
    const skip = routes
      .map((route) => unlessServed(...(route.split(' ') as [string, string])))
      .find(Boolean);
    return {
      title: before.at(-1)?.split('\n')[0],
      name: `example-${n}`,
      text: match[2] ?? '',
      skip: skip ?? false,
      isRun,
    };
  },
);

before(async () => {
  mkdirSync(directory, { recursive: true });
  for (const { name, text } of examples) writeFileSync(join(directory, `${name}.ts`), text);
  // Of the package itself kits/adapters.ts has the types.
  const handle = "import('@mesadev/sdk/sandbox').E2bSandbox";
  const e2b = `declare module 'e2b' { export const Sandbox: { create(): Promise<${handle}> } }`;
  writeFileSync(join(directory, 'e2b.d.ts'), e2b);
  const config = {
    extends: '../../tsconfig.json',
    compilerOptions: { module: 'nodenext', noUnusedLocals: true },
    files: ['e2b.d.ts', ...examples.map(({ name }) => `${name}.ts`)],
  };
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(config));
  await ran(join(root, 'node_modules/.bin/tsc'), ['-p', directory]);
});

test('there are examples', () => assert.ok(examples.length >= 6));

for (const { title, name, skip } of examples.filter(({ isRun }) => isRun)) {
  test(`README: ${title}`, { skip }, async () => {
    const env = { ...environment(), MESA_NAPI_PATH: process.env['MESA_TEST_ADDON'] ?? '' };
    await ran('node', [join(directory, `${name}.js`)], { env });
  });
}
