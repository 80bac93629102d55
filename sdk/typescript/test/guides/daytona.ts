import { Mesa } from '@mesadev/sdk';
import { Daytona } from './providers.js';

const mesa = new Mesa({ apiKey: process.env.MESA_API_KEY });
const daytona = new Daytona({ apiKey: process.env.DAYTONA_API_KEY });

// Create a repo (or use an existing one)
const repo = await mesa.repos.create({ name: 'agent-workspace' });

// Create a scoped, short-lived API key for the sandbox
const ephemeralKey = await mesa.apiKeys.create({
  name: 'sandbox-session',
  scopes: ['read', 'write'],
  expires_in_seconds: 3600, // 1 hour
  repo_ids: [repo.id],
});

const sandbox = await daytona.create({ image: 'debian' });

const mesaConfig = [
  'mount-point = "/home/daytona/mesa/mnt"',
  '',
  '[secrets]',
  'backend = "plaintext-file"',
  '',
  '[organizations.my-org]',
].join('\n');

await sandbox.fs.uploadFile(Buffer.from(mesaConfig), '/home/daytona/.config/mesa/config.toml');

await sandbox.process.executeCommand(`mesa auth set-key --org my-org ${ephemeralKey.key}`);
await sandbox.process.executeCommand('mesa mount --daemonize');
