// The packed package in an empty project: as an ES module, in CommonJS and from TypeScript.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { environment, ran } from './support/program.js';

const here = fileURLToPath(new URL('.', import.meta.url));

const root = join(here, '..');
const project = mkdtempSync(join(tmpdir(), 'mesa-sdk-consumer.'));
after(() => rmSync(project, { recursive: true }));

const write = (name: string, content: string | object) =>
  writeFileSync(
    join(project, name),
    typeof content === 'string' ? content : JSON.stringify(content),
  );

before(async () => {
  const packed = await ran(
    'npm',
    ['pack', '--ignore-scripts', '--json', '--pack-destination', project],
    { cwd: root },
  );
  const [{ filename, files }] = JSON.parse(packed.slice(packed.indexOf('[')));
  const paths: string[] = files.map((file: { path: string }) => file.path);
  const unexpected = paths.filter(
    (path) => !/^(dist\/.*|package\.json|README\.md|LICENSE)$/.test(path),
  );
  assert.deepEqual(unexpected, []);
  write('package.json', { name: 'consumer', private: true });
  await ran('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${filename}`], {
    cwd: project,
  });
  assert.deepEqual(
    readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['@mesadev'],
  );
});

const USE = `
const mesa = new Mesa();
const name = 'packed-' + process.pid;
const repo = await mesa.repos.create({ name });
let missing;
try { await mesa.repos.get({ repo: 'none' }); } catch (error) { missing = error; }
if (!(missing instanceof NotFoundError)) throw missing;
await mesa.repos.delete({ repo: repo.name });
try { await mesa.fs.mount({ repos: [{ name }] }); } catch (error) { missing = error; }
if (missing.code !== 'NATIVE_ADDON_MISSING') throw missing;
if (typeof mountInSandbox !== 'function' || !(new SandboxMountError({}) instanceof MesaError)) {
  throw new Error('two packages');
}
await mesa.close();
console.log('fine');
`;

test('as an ES module', async () => {
  const sandbox = `import { mountInSandbox, SandboxMountError } from '@mesadev/sdk/sandbox';`;
  write(
    'use.mjs',
    `import { Mesa, MesaError, NotFoundError } from '@mesadev/sdk';${sandbox}${USE}`,
  );
  assert.equal(await ran('node', ['use.mjs'], { cwd: project, env: environment() }), 'fine\n');
});

test('in CommonJS', async () => {
  write(
    'use.cjs',
    `const { Mesa, MesaError, NotFoundError } = require('@mesadev/sdk');
const { mountInSandbox, SandboxMountError } = require('@mesadev/sdk/sandbox');
(async () => {${USE}})();`,
  );
  assert.equal(await ran('node', ['use.cjs'], { cwd: project, env: environment() }), 'fine\n');
});

const TYPED = `import { Mesa, type Repo, verifyWebhook, type WebhookEventOf } from '@mesadev/sdk';
import { e2b, exec, mountInSandbox } from '@mesadev/sdk/sandbox';

export async function use(): Promise<Repo[]> {
  await using mesa = new Mesa({ apiUrl: 'http://h', timeoutMs: 5 });
  const { repos } = await mesa.repos.list({ tags: { env: 'prod' } });
  for await (const repo of mesa.repos.list()) repos.push(repo);
  // @ts-expect-error There is no such scope.
  await mesa.apiKeys.create({ scopes: ['root'] });
  // @ts-expect-error The repo is missing.
  await mesa.repos.get({});
  const { access } = await mesa.tokens.create({ access: { a: 'read-repo' } });
  const { repo_ids } = await mesa.tokens.create({ repos: [...Object.keys(access)] });
  mesa.webhooks.on('bookmark.moved', ({ data }: WebhookEventOf<'bookmark.moved'>) => {
    if (data.from.change_id === repo_ids?.[0]) throw new Error();
  });
  const runner = exec(async ({ argv }) => ({ exitCode: argv.length }));
  await using work = await mountInSandbox(mesa, runner, { repo: 'r', isolate: true });
  // @ts-expect-error That is no sandbox of E2B.
  await mountInSandbox(mesa, e2b(work), { repo: 'r' });
  const event = verifyWebhook({ body: '', signature: '', secret: '' });
  if (event.type === 'push') event.data.updates.map((update) => update.after);
  return repos;
}
`;

/** Types must hold in strict projects that check libraries, with Node's types or the DOM's. */
const flavours = {
  'nodenext, as an ES module, with the DOM': {
    file: 'use.mts',
    module: 'nodenext',
    lib: ['es2022', 'dom'],
    types: [],
  },
  'nodenext, in CommonJS, with Node': {
    file: 'use.cts',
    module: 'nodenext',
    lib: ['es2022'],
    types: ['node'],
  },
  'for a bundler': {
    file: 'use.ts',
    module: 'esnext',
    moduleResolution: 'bundler',
    lib: ['es2022', 'dom'],
    types: [],
  },
};

for (const [name, { file, ...how }] of Object.entries(flavours)) {
  test(`from TypeScript: ${name}`, async () => {
    write(file, TYPED);
    const types = join(project, 'node_modules/@types/node');
    if (how.types.length > 0) {
      mkdirSync(types, { recursive: true });
      cpSync(join(root, 'node_modules/@types/node'), types, { recursive: true });
      cpSync(join(root, 'node_modules/undici-types'), join(project, 'node_modules/undici-types'), {
        recursive: true,
      });
    }
    const strict = {
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
      target: 'es2022',
    };
    write('tsconfig.json', { compilerOptions: { ...strict, ...how }, files: [file] });
    await ran(join(root, 'node_modules/.bin/tsc'), ['-p', project]);
  });
}
