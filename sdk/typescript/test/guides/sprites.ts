import { Mesa } from '@mesadev/sdk';
import { SpritesClient } from './providers.js';

const mesa = new Mesa({ apiKey: process.env.MESA_API_KEY });
const client = new SpritesClient(process.env.SPRITES_TOKEN);

// Create a repo (or use an existing one)
const repo = await mesa.repos.create({ name: 'agent-workspace' });

// Create a scoped, short-lived API key for the sandbox
const ephemeralKey = await mesa.apiKeys.create({
  name: 'sandbox-session',
  scopes: ['read', 'write'],
  expires_in_seconds: 3600, // 1 hour
});

const sprite = await client.createSprite('mesa-sandbox');

await sprite.execFile('sh', ['-c', `MESA_ORGS=my-org:${ephemeralKey.key} mesa mount -d -y`]);

await sprite.destroy();
