// The scenario through the official TypeScript clients: of the handshake's time (`sdk`) and of the
// newest version (`client`), each over HTTP and over `mesa mcp`.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { Client as NewClient, StreamableHTTPClientTransport as NewHttp } from '@modelcontextprotocol/client';
import { StdioClientTransport as NewStdio } from '@modelcontextprotocol/client/stdio';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as OldStdio } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as OldHttp } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const need = (name) => {
  assert.ok(process.env[name], `${name} is not set; run this through \`cargo nextest run -E 'test(mcp)'\``);
  return process.env[name];
};
const origin = need('MESA_TEST_URL');
const keys = { admin: need('MESA_TEST_KEY'), reader: need('MESA_TEST_READER'), restricted: need('MESA_TEST_RESTRICTED') };
const steps = JSON.parse(await readFile(new URL('scenario.json', import.meta.url), 'utf8'));

const http = (Http) => (key) => new Http(new URL(`${origin}/mcp`), { requestInit: { headers: { authorization: `Bearer ${key}` } } });
const stdio = (Stdio) => (key) =>
  new Stdio({ command: need('MESA_BIN'), args: ['mcp'], env: { PATH: process.env.PATH, HOME: need('MESA_TEST_HOME'), MESA_API_URL: origin, MESA_API_KEY: key } });
const info = { name: 'mesa-tests', version: '1.0.0' };
const old = () => new OldClient(info);
const pinned = () => new NewClient(info, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
const found = () => new NewClient(info, { versionNegotiation: { mode: 'auto' } });

const WAYS = {
  'sdk over HTTP': [old, http(OldHttp)],
  'sdk over stdio': [old, stdio(OldStdio)],
  'client over HTTP': [pinned, http(NewHttp), '2026-07-28'],
  'client over stdio': [found, stdio(NewStdio), '2026-07-28'],
};

/** `$name` and `${name}` replaced by what was kept. */
function filled(value, kept) {
  if (Array.isArray(value)) return value.map((item) => filled(item, kept));
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, filled(v, kept)]));
  if (typeof value !== 'string') return value;
  const whole = /^\$(\w+)$/.exec(value);
  if (whole) {
    assert.ok(whole[1] in kept, value);
    return kept[whole[1]];
  }
  return value.replace(/\$\{(\w+)\}/g, (_, name) => kept[name]);
}
const at = (value, path) => path.split('.').reduce((now, part) => now?.[part], value);

async function play(step, clients, kept, driven) {
  const call = filled({ name: step.tool, arguments: step.arguments ?? {} }, kept);
  const shown = `${JSON.stringify(step).slice(0, 300)}`;
  const result = await clients[step.as ?? 'admin'].callTool(call);
  const text = result.content[0].text;
  assert.equal(result.isError ?? false, 'error' in step, `${shown}: ${text.slice(0, 500)}`);
  if (step.error) {
    assert.ok(text.startsWith(`${step.error}: `), `${shown}: ${text.slice(0, 500)}`);
    driven.failed.add(step.tool);
  } else {
    driven.done.add(step.tool);
    for (const [path, expected] of Object.entries(filled(step.is ?? {}, kept))) {
      assert.deepEqual(at(result.structuredContent, path), expected, `${shown}: ${path} in ${text.slice(0, 500)}`);
    }
    for (const [name, path] of Object.entries(step.keep ?? {})) kept[name] = at(result.structuredContent, path);
  }
  if (step.says) assert.ok(text.includes(filled(step.says, kept)), `${shown}: ${text.slice(0, 1000)}`);
}

let serial = 0;
for (const [way, [client, transport, version]] of Object.entries(WAYS)) {
  test(way, { timeout: 60_000 }, async () => {
    const clients = {};
    try {
      for (const [who, key] of Object.entries(keys)) {
        clients[who] = client();
        await clients[who].connect(transport(key));
      }
      if (version) assert.equal(clients.admin.getNegotiatedProtocolVersion(), version);
      await drive(clients);
    } finally {
      await Promise.all(Object.values(clients).map((one) => one.close()));
    }
  });
}

async function drive(clients) {
  const { tools } = await clients.admin.listTools();
  const names = tools.map((tool) => tool.name);
  assert.ok(names.length > 25);
  assert.match(clients.admin.getInstructions(), /bookmark/);
  for (const tool of tools) assert.ok(tool.outputSchema && tool.annotations.title, tool.name);
  const readable = (await clients.reader.listTools()).tools;
  assert.deepEqual(readable.map((tool) => tool.name), tools.filter((tool) => tool.annotations.readOnlyHint).map((tool) => tool.name));
  const kept = { repo: `node-${process.pid}-${serial++}`, huge: 'x'.repeat((16 << 20) + 1), long: 'x/'.repeat(2100) };
  const driven = { done: new Set(), failed: new Set() };
  for (const step of steps) await play(step, clients, kept, driven);
  assert.deepEqual(names.filter((name) => !driven.done.has(name)), [], 'tools without a success');
  assert.deepEqual(names.filter((name) => !driven.failed.has(name)), [], 'tools without a refusal');
  await assert.rejects(clients.admin.callTool({ name: 'no_such_tool', arguments: {} }), /Unknown tool|-32602/);
}

test('a wrong key is told so', async () => {
  await assert.rejects(old().connect(http(OldHttp)('mesa_wrong')), /CREDENTIAL_UNKNOWN/);
  const late = async () => {
    const client = pinned();
    await client.connect(http(NewHttp)('mesa_wrong'));
    await client.listTools();
  };
  await assert.rejects(late(), /CREDENTIAL_UNKNOWN|401/);
  await assert.rejects(old().connect(stdio(OldStdio)('mesa_wrong')), /closed/i);
});
