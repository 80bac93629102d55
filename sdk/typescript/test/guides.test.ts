// The parts of the providers' guides that run outside a sandbox: what they hand over works inside.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { NotFoundError } from '@mesadev/sdk';
import { client, mesa, org, server } from './support/index.js';
import { environment, ran } from './support/program.js';
import { program } from './support/server.js';

const here = fileURLToPath(new URL('.', import.meta.url));

interface Noted {
  command: string;
  env: Record<string, string>;
}

const unlessMissing = (error: unknown) => {
  if (!(error instanceof NotFoundError)) throw error;
};

for (const provider of ['blaxel', 'daytona', 'e2b', 'sprites', 'superserve']) {
  test(`the guide of ${provider} hands over a key that works`, async () => {
    await mesa.repos.delete({ repo: 'agent-workspace' }).catch(unlessMissing);
    if (provider === 'blaxel') await mesa.repos.create({ name: 'agent-workspace' });
    const env = environment();
    const stdout = await ran('node', [join(here, `guides/${provider}.js`)], { env });
    const noted: Noted[] = JSON.parse(stdout);
    const commands = noted.map(({ command, env }) => ({ command, env }));
    assert.ok(commands.some(({ command }) => / ?mesa mount (-d -y|--daemonize)$/.test(command)));
    const handed = commands
      .flatMap(({ command, env }) => [command, ...Object.values(env)])
      .join('\n');
    const key = /mesa_[\w-]+/.exec(handed)?.[0];
    assert.ok(key, handed);
    const who = await client({ apiKey: key }).whoami();
    assert.deepEqual(
      [who.org.slug, who.key_name, who.scopes],
      [org, 'sandbox-session', ['read', 'write']],
    );
    const left = Date.parse(who.expires_at ?? '') - Date.now();
    assert.ok(left > 3_500_000 && left <= 3_600_000, `${left}`);
    // What the sandbox does with it: the command line takes the org and the key in one variable.
    const inside = {
      MESA_API_URL: server.origin,
      MESA_ORGS: `my-org:${key}`,
      MESA_NO_CONFIG_FILE: '1',
    };
    const home = join(server.dataDir, provider);
    const args = ['repo', 'list', '--all', '--json'];
    const repos = await ran(program, args, { env: { ...inside, HOME: home } });
    assert.ok(repos.includes('agent-workspace'), repos);
  });
}
