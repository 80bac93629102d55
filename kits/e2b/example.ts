import { Mesa } from "@mesadev/sdk";
import { e2b, mountInSandbox } from "@mesadev/sdk/sandbox";
import { Sandbox } from "e2b";

const mesa = new Mesa(); // MESA_API_URL, which the sandbox reaches as well, and MESA_API_KEY
const repo = await mesa.repos.create({ name: `agent-${Date.now()}` });

const template = process.env.E2B_TEMPLATE; // of the Dockerfile beside this file
const sandbox = template ? await Sandbox.create(template) : await Sandbox.create();
try {
  // A key for this repo that expires, the installation, the mount; in the end all is taken back.
  const work = await mountInSandbox(mesa, e2b(sandbox), { repo });
  try {
    const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
    console.log((await work.run(agent)).stdout);
  } finally {
    await work.close();
  }
} finally {
  await sandbox.kill();
}
