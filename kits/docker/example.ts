import { Mesa } from "@mesadev/sdk";
import { execFileSync } from "node:child_process";

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

// --- Inside a container: mount ---

const docker = (...words: string[]) => execFileSync("docker", words, { encoding: "utf8", env: { ...process.env, MESA_ORGS: `${org}:${key.key}` } }).trim();
const id = docker(
  ..."run --rm --detach --init --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined".split(" "),
  ...(process.platform === "linux" ? ["--network", "host"] : []),
  ...["--env", "MESA_ORGS", process.env.MESA_IMAGE ?? "agent-with-mesa", "sleep", "infinity"],
);
try {
  const run = (command: string) => docker("exec", id, "sh", "-c", command);
  run("mesa mount -d -y");

  // --- Run your agent ---

  const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
  console.log(run(`cd ${work} && ${agent} && mesa sync`));
} finally {
  docker("rm", "--force", id);
}
