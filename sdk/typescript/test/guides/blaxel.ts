import { Mesa } from '@mesadev/sdk';
import { SandboxInstance } from './providers.js';

const sandbox = await SandboxInstance.create({ region: 'us-pdx-1' });

const mesa = new Mesa({ apiKey: process.env.MESA_API_KEY });

// Create a scoped, short-lived API key for the sandbox
const ephemeralKey = await mesa.apiKeys.create({
  name: 'sandbox-session',
  scopes: ['read', 'write'],
  expires_in_seconds: 3600, // 1 hour
});

await sandbox.process.exec({
  command: `MESA_ORGS=my-org:${ephemeralKey.key} mesa mount -d -y`,
  waitForCompletion: true,
});
