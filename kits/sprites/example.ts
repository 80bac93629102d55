import { Mesa } from "@mesadev/sdk";
import { sprites, mountInSandbox } from "@mesadev/sdk/sandbox";
import { SpritesClient } from "@fly/sprites";

const mesa = new Mesa(); // MESA_API_URL, which the sandbox reaches as well, and MESA_API_KEY
const repo = await mesa.repos.create({ name: `agent-${Date.now()}` });

const sprite = await new SpritesClient(process.env.SPRITES_TOKEN!).createSprite(repo.name);
try {
  // A key for this repo that expires, the installation, the mount; in the end all is taken back.
  const work = await mountInSandbox(mesa, sprites(sprite), { repo });
  try {
    const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
    console.log((await work.run(agent)).stdout);

    // A sprite that was stopped and resumed needs this once more, and no key.
    await work.run("mesa mount --daemonize");
  } finally {
    await work.close();
  }
} finally {
  await sprite.destroy();
}
