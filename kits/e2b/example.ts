import { Mesa } from "@mesadev/sdk";
import { Sandbox } from "e2b";

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

const template = process.env.E2B_TEMPLATE;
const sandbox = template ? await Sandbox.create(template) : await Sandbox.create();
try {
  if (!template) {
    // /dev/fuse belongs to root there: --setup-fuse opens it to `user`, who works in the mount.
    await sandbox.commands.run(`curl -fsSL ${server}/install.sh | sh -s -- --yes --setup-fuse`, { user: "root" });
  }
  await sandbox.commands.run("mesa mount -d -y", { envs: { MESA_ORGS: `${org}:${key.key}` } });

  // --- Run your agent ---

  const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
  const done = await sandbox.commands.run(`cd ${work} && ${agent} && mesa sync`);
  console.log(done.stdout);
} finally {
  await sandbox.kill();
}
