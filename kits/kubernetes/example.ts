import { Mesa } from "@mesadev/sdk";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

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

// --- Inside the cluster: a secret, and a pod whose first process mounts ---

const kubectl = (words: string[], input = "") => execFileSync("kubectl", words, { encoding: "utf8", input });
const name = repo.name;
const secret = { apiVersion: "v1", kind: "Secret", metadata: { name }, stringData: { orgs: `${org}:${key.key}` } };
const pod = readFileSync(new URL("pod.yaml", import.meta.url), "utf8")
  .replaceAll("mesa-agent", name)
  .replaceAll("agent-with-mesa", process.env.MESA_IMAGE ?? "agent-with-mesa")
  .replaceAll("https://mesa.example.com", server);
kubectl(["apply", "-f", "-"], JSON.stringify(secret));
try {
  kubectl(["apply", "-f", "-"], pod);
  kubectl(["wait", "--for=condition=Ready", `pod/${name}`, "--timeout=120s"]);

  // --- Run your agent ---

  const agent = process.env.AGENT ?? "echo 'written by an agent' > agent.txt";
  console.log(kubectl(["exec", name, "--", "sh", "-c", `cd ${work} && ${agent} && mesa sync`]));
} finally {
  kubectl(["delete", "--ignore-not-found", `pod/${name}`, `secret/${name}`]);
}
