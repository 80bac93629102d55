import { Mesa } from "@mesadev/sdk";
import { superserve, mountInSandbox } from "@mesadev/sdk/sandbox";
import { Sandbox } from "@superserve/sdk";

const mesa = new Mesa(); // MESA_API_URL, which the sandbox reaches as well, and MESA_API_KEY
const repo = await mesa.repos.create({ name: `agent-${Date.now()}` });

const template = process.env.SUPERSERVE_TEMPLATE ?? "superserve/base"; // of template.ts
const sandbox = await Sandbox.create({ name: repo.name, fromTemplate: template });
try {
  // A key for this repo that expires, the installation, the mount; in the end all is taken back.
  const work = await mountInSandbox(mesa, superserve(sandbox), { repo });
  try {
    const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
    console.log((await work.run(agent)).stdout);
  } finally {
    await work.close();
  }
} finally {
  await sandbox.kill();
}
