import { Mesa } from "@mesadev/sdk";
import { SpritesClient } from "@fly/sprites";

// The server as both sides reach it: this program, and the sandbox.
const server = process.env.MESA_API_URL ?? "http://127.0.0.1:7117";
const mesa = new Mesa({ apiKey: process.env.MESA_API_KEY!, apiUrl: `${server}/v1`, vcsUrl: server });

// --- Outside the sandbox: a repo, and a key for it that expires ---

const repo = await mesa.repos.create({ name: `agent-${Date.now()}` });
const { slug: org } = (await mesa.whoami()).org;
const key = await mesa.apiKeys.create({
  name: "sandbox-session",
  scopes: ["read", "write"],
  expires_in_seconds: 3600,
  repo_ids: [repo.id],
});
const work = `~/.local/share/mesa/mnt/${org}/${repo.name}`;

// --- Inside the sandbox: install and mount ---

const client = new SpritesClient(process.env.SPRITES_TOKEN!);
const sprite = await client.createSprite(repo.name);
try {
  // exec() splits at spaces; a shell has to be asked for.
  const run = async (command: string) => (await sprite.execFile("sh", ["-c", command])).stdout.toString();
  await run(`curl -fsSL ${server}/install.sh -o /tmp/install.sh && sh /tmp/install.sh --yes --setup-fuse`);
  await run(`MESA_ORGS='${org}:${key.key}' mesa mount -d -y`);

  // --- Run your agent ---

  const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
  console.log(await run(`cd ${work} && ${agent} && mesa sync`));

  // A sprite that was stopped and resumed needs this line again, and no key.
  await run("mesa mount --daemonize");
} finally {
  await sprite.destroy();
}
