import { Mesa } from "@mesadev/sdk";
import { Daytona } from "@daytonaio/sdk";
import { image } from "./template.ts";

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

// --- Inside the sandbox: mount (the image has everything installed) ---

const daytona = new Daytona({ apiKey: process.env.DAYTONA_API_KEY! });
const sandbox = await daytona.create({ image: image(server) }, { timeout: 0 });
try {
  // This call answers failures as values.
  const run = async (command: string, env: Record<string, string> = {}) => {
    const done = await sandbox.process.executeCommand(command, undefined, env);
    if (done.exitCode !== 0) throw new Error(`${command}\n${done.result}`);
    return done.result;
  };
  await run("mesa mount --daemonize -y", { MESA_ORGS: `${org}:${key.key}` });

  // --- Run your agent ---

  const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
  console.log(await run(`cd ${work} && ${agent} && mesa sync`));
} finally {
  await sandbox.delete();
}
