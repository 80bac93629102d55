import { Mesa } from "@mesadev/sdk";
import { exec, mountInSandbox } from "@mesadev/sdk/sandbox";
import { execFileSync, spawnSync } from "node:child_process";

const mesa = new Mesa(); // MESA_API_URL, which the container reaches as well, and MESA_API_KEY
const repo = await mesa.repos.create({ name: `agent-${Date.now()}` });

const id = execFileSync("docker", [
  ..."run --rm --detach --init --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined".split(" "),
  ...(process.platform === "linux" ? ["--network", "host"] : []),
  ...[process.env.MESA_IMAGE ?? "agent-with-mesa", "sleep", "infinity"],
], { encoding: "utf8" }).trim();

const container = exec(async ({ argv, env, timeoutMs }) => {
  // Names only: docker takes the values from its own environment, so that nobody sees the key.
  const words = ["exec", ...Object.keys(env).flatMap((name) => ["--env", name]), id, ...argv];
  const how = { encoding: "utf8", env: { ...process.env, ...env }, timeout: timeoutMs } as const;
  const { status, stdout, stderr } = spawnSync("docker", words, how);
  return { exitCode: status ?? -1, stdout, stderr };
});
try {
  // A key for this repo that expires, and the mount; in the end both are taken back.
  const work = await mountInSandbox(mesa, container, { repo });
  try {
    const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
    console.log((await work.run(agent)).stdout);
  } finally {
    await work.close();
  }
} finally {
  execFileSync("docker", ["rm", "--force", id]);
}
