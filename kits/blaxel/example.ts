import { Mesa } from "@mesadev/sdk";
import { SandboxInstance } from "@blaxel/core";

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

const image = process.env.BLAXEL_IMAGE; // of the Dockerfile beside this file
const sandbox = await SandboxInstance.create({ name: `mesa-${Date.now()}`, region: "us-pdx-1", ...(image && { image }) });
try {
  const run = async (command: string, env: Record<string, string> = {}) => {
    const done = await sandbox.process.exec({ command, env, waitForCompletion: true });
    if (done.exitCode !== 0) throw new Error(`${command}\n${done.logs}`);
    return done.logs;
  };
  // The default image is Alpine. mesa needs nothing of it: no gcompat, no fuse3 (this is root).
  if (!image) await run(`wget -q -O /tmp/install.sh ${server}/install.sh && sh /tmp/install.sh --yes`);
  await run("mesa mount -d -y", { MESA_ORGS: `${org}:${key.key}` });

  // --- Run your agent ---

  const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
  console.log(await run(`cd ${work} && ${agent} && mesa sync`));
} finally {
  await sandbox.delete();
}
