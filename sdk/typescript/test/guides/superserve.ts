import { Mesa } from '@mesadev/sdk';
import { Sandbox } from './providers.js';

const mesa = new Mesa({ apiKey: process.env.MESA_API_KEY });

// Create a repo (or use an existing one)
const repo = await mesa.repos.create({ name: 'agent-workspace' });

// Create a scoped, short-lived API key for the sandbox
const ephemeralKey = await mesa.apiKeys.create({
  name: 'sandbox-session',
  scopes: ['read', 'write'],
  expires_in_seconds: 3600, // 1 hour
});

const sandbox = await Sandbox.create({ fromTemplate: 'superserve/base' });

await sandbox.commands.run('mesa mount -d -y', {
  env: {
    MESA_ORGS: `my-org:${ephemeralKey.key}`,
  },
});
