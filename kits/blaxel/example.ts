import { Mesa } from "@mesadev/sdk";
import { blaxel, mountInSandbox } from "@mesadev/sdk/sandbox";
import { SandboxInstance } from "@blaxel/core";

const mesa = new Mesa(); // MESA_API_URL, which the sandbox reaches as well, and MESA_API_KEY
const repo = await mesa.repos.create({ name: `agent-${Date.now()}` });

const image = process.env.BLAXEL_IMAGE; // of the Dockerfile beside this file
const sandbox = await SandboxInstance.create({ name: repo.name, region: "us-pdx-1", ...(image && { image }) });
try {
  // A key for this repo that expires, the installation, the mount; in the end all is taken back.
  const work = await mountInSandbox(mesa, blaxel(sandbox), { repo });
  try {
    const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
    console.log((await work.run(agent)).stdout);
  } finally {
    await work.close();
  }
} finally {
  await sandbox.delete();
}
