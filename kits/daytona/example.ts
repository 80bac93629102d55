import { Mesa } from "@mesadev/sdk";
import { daytona, mountInSandbox } from "@mesadev/sdk/sandbox";
import { Daytona } from "@daytonaio/sdk";
import { image } from "./template.ts";

const mesa = new Mesa(); // MESA_API_URL, which the sandbox reaches as well, and MESA_API_KEY
const repo = await mesa.repos.create({ name: `agent-${Date.now()}` });

const server = mesa.apiUrl.replace(/\/v1$/, "");
const sandbox = await new Daytona().create({ image: image(server) }, { timeout: 0 });
try {
  // A key for this repo that expires, the installation, the mount; in the end all is taken back.
  const work = await mountInSandbox(mesa, daytona(sandbox), { repo });
  try {
    const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
    console.log((await work.run(agent)).stdout);
  } finally {
    await work.close();
  }
} finally {
  await sandbox.delete();
}
