import { Mesa } from "@mesadev/sdk";
import { Sandbox } from "@superserve/sdk";

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

const template = process.env.SUPERSERVE_TEMPLATE; // of template.ts
const sandbox = await Sandbox.create({ name: repo.name, fromTemplate: template ?? "superserve/base" });
try {
  const run = async (command: string, env: Record<string, string> = {}) => {
    const done = await sandbox.commands.run(command, { env });
    if (done.exitCode !== 0) throw new Error(`${command}\n${done.stdout}${done.stderr}`);
    return done.stdout;
  };
  if (!template) await run(`curl -fsSL ${server}/install.sh | sh -s -- --yes`);
  await run("mesa mount -d -y", { MESA_ORGS: `${org}:${key.key}` });

  // --- Run your agent ---

  const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
  console.log(await run(`cd ${work} && ${agent} && mesa sync`));
} finally {
  await sandbox.kill();
}
