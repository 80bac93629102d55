// Builds a template with mesa in it: node template.ts
import { Template } from "@superserve/sdk";

const server = process.env.MESA_API_URL ?? "https://mesa.example.com";
const template = await Template.create({
  name: "agent-with-mesa",
  vcpu: 2,
  memoryMib: 2048,
  diskMib: 4096,
  from: "ubuntu:24.04",
  steps: [
    { run: "apt-get update && apt-get install -y --no-install-recommends ca-certificates curl git && rm -rf /var/lib/apt/lists/*" },
    { run: `curl -fsSL ${server}/install.sh -o /tmp/install.sh && sh /tmp/install.sh --yes` },
  ],
});
await template.waitUntilReady();
console.log(`SUPERSERVE_TEMPLATE=${template.name}`);
