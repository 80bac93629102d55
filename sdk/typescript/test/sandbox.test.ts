// The helper for sandboxes: its steps, what fails in them, and that the key is seen by nobody.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { AbortedError, InvalidOptionsError, MesaError, NotFoundError } from '@mesadev/sdk';
import {
  mountInSandbox,
  SandboxCommandError,
  SandboxError,
  SandboxInstallError,
  SandboxKeyError,
  SandboxMountError,
  type SandboxMountOptions,
  SandboxNotReadyError,
  SandboxRenewalError,
  SandboxRepoError,
  SandboxRevocationError,
  SandboxSyncError,
  SandboxUnmountError,
} from '@mesadev/sdk/sandbox';
import { rejects } from './support/index.js';
import { FakeClient, FakeSandbox, MOUNTED, POINT, SECRET } from './support/sandbox.js';
import { eventually } from './support/server.js';

const fakes = () => {
  const [mesa, sandbox] = [new FakeClient(), new FakeSandbox()];
  const mount = (options: Partial<SandboxMountOptions> = {}) =>
    mountInSandbox(mesa, sandbox.runner(), { repo: 'work', ...options });
  return { mesa, sandbox, mount };
};

const refusal = new NotFoundError({
  ...{ status: 404, code: 'REPO_NOT_FOUND', message: 'no such repo', attempts: 1 },
  ...{ headers: new Headers(), body: undefined, method: 'GET', url: 'https://mesa.example.com' },
});

test('a key, an installation, a mount; at the end all of it is taken back', async () => {
  const { mesa, sandbox, mount } = fakes();
  {
    await using work = await mount({ repo: { id: 'id_1', name: 'work', org: 'other' } });
    assert.equal(work.path, `${POINT}/other/work`);
    assert.deepEqual([work.org, work.repo, work.keyId], ['other', 'work', 'key_1']);
    assert.ok(work.expiresAt.getTime() > Date.now() + 3_500_000);
    assert.deepEqual(sandbox.purposes, ['install', 'mount', 'ready']);
    assert.deepEqual(mesa.asked, ['make key_1']);
  }
  assert.deepEqual(sandbox.purposes.slice(3), ['sync', 'unmount']);
  assert.deepEqual(mesa.asked, ['make key_1', 'revoke key_1']);
  assert.deepEqual(mesa.made, [
    {
      org: 'other',
      name: 'sandbox-session',
      scopes: ['read', 'write'],
      expires_in_seconds: 3600,
      repo_ids: ['id_1'],
    },
  ]);
});

test('the key goes by the environment, or by the standard input, and nowhere else', async () => {
  for (const secrets of ['env', 'stdin'] as const) {
    const { mesa, sandbox } = fakes();
    const options = { repo: 'work', env: { MESA_CA_FILE: "/a 'b" } };
    await (await mountInSandbox(mesa, sandbox.runner({ secrets }), options)).close();
    assert.ok(!sandbox.shown.includes(SECRET));
    const given = sandbox.commands.filter(({ env, input }) =>
      secrets === 'env' ? env['MESA_ORGS'] : input.includes('MESA_ORGS'),
    );
    assert.equal(given.length, 1);
    const [{ env, input }] = given as [(typeof sandbox.commands)[0]];
    const set = { MESA_CA_FILE: "/a 'b", MESA_ORGS: `my-org:${SECRET}1` };
    const lines = "MESA_CA_FILE=/a 'b\nMESA_ORGS=my-org:mesa_verysecretkey1\n\n";
    assert.deepEqual([env, input], secrets === 'env' ? [set, ''] : [{}, lines]);
  }
});

/** Each step with its class, what is taken back, and whether the sandbox was unmounted. */
const failures = [
  ['install', SandboxInstallError, []],
  ['mount', SandboxMountError, []],
  ['ready', SandboxNotReadyError, ['unmount by force']],
] as const;

for (const [step, type, after] of failures) {
  test(`when ${step} fails the key is revoked, and the error tells why without it`, async () => {
    const { mesa, sandbox, mount } = fakes();
    const printed = `trying\n{"error":{"message":"no way with ${SECRET}1","causes":["a cause"],"hint":"do this"},"exit_code":8}`;
    sandbox.answers[step] = { exitCode: 8, stderr: printed, stdout: 'before\n' };
    const error = await rejects(mount(), type, {
      step,
      exitCode: 8,
      code: `SANDBOX_${step.toUpperCase()}_FAILED`,
      unrevokedKeyId: undefined,
    });
    assert.match(error.message, /: no way with mesa_\*\*\*: a cause\nhint: do this$/);
    assert.ok(error.output.startsWith('before\ntrying\n'));
    assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(SECRET));
    assert.deepEqual(mesa.asked, ['repo work', 'make key_1', 'revoke key_1']);
    assert.equal(sandbox.purposes.at(after.length === 0 ? -1 : -2), step);
    assert.deepEqual(sandbox.purposes.slice(-after.length || Infinity), after);
  });

  test(`when the service breaks down in ${step} nothing more is asked of it`, async () => {
    const { mesa, sandbox, mount } = fakes();
    const thrown = Object.assign(new Error(`POST /run {"MESA_ORGS":"my-org:${SECRET}1"}: reset`), {
      request: { env: { MESA_ORGS: `my-org:${SECRET}1` } },
      cause: new Error(`${SECRET}1`),
    });
    sandbox.answers[step] = thrown;
    const error = await rejects(mount(), type, { exitCode: undefined, output: '' });
    assert.match(error.message, /mesa_\*\*\*.*: reset$/);
    assert.match(String((error.cause as Error).message), /: reset$/);
    assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(SECRET));
    assert.equal(sandbox.purposes.at(-1), step);
    assert.equal(mesa.asked.at(-1), 'revoke key_1');
  });
}

test('a repo that is not there, and a key that is refused', async () => {
  const { mesa, sandbox, mount } = fakes();
  mesa.failing = { repo: refusal };
  const absent = await rejects(mount(), SandboxRepoError, { step: 'repo', cause: refusal });
  assert.ok(absent instanceof MesaError && absent instanceof SandboxError);
  mesa.failing = { make: refusal };
  await rejects(mount(), SandboxKeyError, { step: 'key', cause: refusal });
  assert.deepEqual(sandbox.commands, []);
});

test('a key that cannot be revoked is named', async () => {
  const { mesa, sandbox, mount } = fakes();
  const work = await mount();
  mesa.failing = { revoke: refusal };
  await rejects(work.close(), SandboxRevocationError, { unrevokedKeyId: 'key_1', cause: refusal });
  sandbox.answers['install'] = { exitCode: 1 };
  await rejects(mount(), SandboxInstallError, { unrevokedKeyId: 'key_2', exitCode: 1 });
});

test('what mesa does not say where it mounted is not mounted', async () => {
  for (const stdout of ['', MOUNTED, `${MOUNTED}{"mount_point":1}`]) {
    const { mesa, sandbox, mount } = fakes();
    sandbox.answers['mount'] = { stdout };
    await rejects(mount(), SandboxMountError, { exitCode: 0 });
    assert.equal(mesa.asked.at(-1), 'revoke key_1');
  }
});

test('a mount that writes elsewhere than wanted gets no key', async () => {
  for (const how of [{ isolate: true }, { scopes: ['read' as const] }]) {
    const { sandbox, mount } = fakes();
    const work = await mount(how);
    await work.renew();
    const [, first, , again] = sandbox.commands.map(({ argv }) => argv[2] ?? '');
    assert.match(first ?? '', /^if mesa status .*exit 6\nfi\nsaid=/ms);
    assert.ok(again?.includes('said=') && !again.includes('status'));
  }
});

test('a mount that is there goes to the bookmark', async () => {
  const { sandbox, mount } = fakes();
  await mount({ bookmark: 'draft', renew: false });
  sandbox.alreadyMounted = true;
  await mount({ bookmark: 'draft', renew: false });
  const once = ['install', 'mount', 'ready'];
  assert.deepEqual(sandbox.purposes, [...once, ...once, 'edit']);
});

test('a mount that was there before is left alone when something fails', async () => {
  const { mesa, sandbox, mount } = fakes();
  sandbox.alreadyMounted = true;
  sandbox.answers['ready'] = { exitCode: 1 };
  await rejects(mount(), SandboxNotReadyError);
  assert.deepEqual(sandbox.purposes, ['install', 'mount', 'ready']);
  assert.equal(mesa.asked.at(-1), 'revoke key_1');
});

test("a caller's commands run in the directory", async () => {
  const { sandbox, mount } = fakes();
  const work = await mount();
  sandbox.answers['command'] = { stdout: 'out', stderr: `err ${SECRET}1` };
  const done = await work.run('make test', { env: { A: 'b' } });
  assert.deepEqual(done, { exitCode: 0, stdout: 'out', stderr: 'err mesa_***' });
  const { argv, env } = sandbox.commands.at(-1) ?? { argv: [], env: {} };
  assert.ok(argv[2]?.endsWith(`cd '${POINT}/my-org/work' || exit 1\nmake test`), argv[2]);
  assert.deepEqual(env, { A: 'b' });
  sandbox.answers['command'] = { exitCode: 2, stderr: 'no rule' };
  const error = await rejects(work.run('make'), SandboxCommandError, { exitCode: 2 });
  assert.match(error.message, /: exit code 2\nno rule$/);
});

test('closing twice is closing once', async () => {
  const { mesa, sandbox, mount } = fakes();
  const work = await mount();
  await Promise.all([work.close(), work.close()]);
  await work.close();
  await work.renew();
  assert.deepEqual(sandbox.purposes.slice(3), ['sync', 'unmount']);
  assert.equal(mesa.asked.length, 3);
});

test('what is in use at the end is unmounted by force once everything is sent', async () => {
  const { mesa, sandbox, mount } = fakes();
  const work = await mount();
  sandbox.answers['unmount'] = { exitCode: 6 };
  await work.close();
  assert.deepEqual(sandbox.purposes.slice(3), ['sync', 'unmount', 'unmount by force']);
  const other = await mount();
  sandbox.answers['unmount by force'] = { exitCode: 1, stderr: 'stuck' };
  await rejects(other.close(), SandboxUnmountError, { output: 'stuck' });
  assert.deepEqual(mesa.asked.slice(-1), ['revoke key_2']);
});

test('what is not on the server at the end is told, and the key revoked all the same', async () => {
  const { mesa, sandbox, mount } = fakes();
  const work = await mount();
  sandbox.answers['sync'] = { exitCode: 10 };
  await rejects(work.close(), SandboxSyncError, { exitCode: 10, unrevokedKeyId: undefined });
  assert.deepEqual(sandbox.purposes.slice(3), ['sync', 'unmount by force']);
  const other = await mount();
  sandbox.answers['sync'] = new Error('the sandbox is gone');
  await rejects(other.close(), SandboxSyncError, { exitCode: undefined });
  assert.equal(sandbox.purposes.at(-1), 'sync');
  const revoked = mesa.asked.filter((asked) => asked.startsWith('revoke'));
  assert.deepEqual(revoked, ['revoke key_1', 'revoke key_2']);
});

test('an abandoned mounting is taken back', async () => {
  const { mesa, sandbox, mount } = fakes();
  const controller = new AbortController();
  sandbox.answers['mount'] = async () => {
    controller.abort();
    return { exitCode: 0, stdout: `${MOUNTED}{"mount_point":"/m"}`, stderr: '' };
  };
  await rejects(mount({ signal: controller.signal }), AbortedError);
  assert.deepEqual(sandbox.purposes, ['install', 'mount', 'unmount by force']);
  assert.equal(mesa.asked.at(-1), 'revoke key_1');
});

test('a renewal hands over a new key and revokes the old one', async () => {
  const { mesa, sandbox, mount } = fakes();
  const work = await mount();
  await work.renew();
  assert.equal(work.keyId, 'key_2');
  const { env } = sandbox.commands.at(-1) ?? { env: {} };
  assert.deepEqual(env, { MESA_ORGS: `my-org:${SECRET}2` });
  assert.deepEqual(mesa.asked.slice(1), ['make key_1', 'make key_2', 'revoke key_1']);
  await work.close();
  assert.equal(mesa.asked.at(-1), 'revoke key_2');
});

test('a renewal that fails keeps the key that works and revokes the other', async () => {
  const { mesa, sandbox, mount } = fakes();
  const work = await mount();
  sandbox.answers['mount'] = { exitCode: 7, stderr: `unreachable ${SECRET}2` };
  const error = await rejects(work.renew(), SandboxRenewalError, { exitCode: 7 });
  assert.ok(!inspect(error, { depth: 9 }).includes(SECRET));
  assert.equal(work.keyId, 'key_1');
  assert.deepEqual(mesa.asked.slice(2), ['make key_2', 'revoke key_2']);
  mesa.failing = { make: refusal };
  await rejects(work.renew(), SandboxRenewalError, { cause: refusal });
});

test('keys are renewed by themselves before they expire, also after a failure', async () => {
  const { mesa, sandbox, mount } = fakes();
  mesa.lifeMs = 1_500;
  const failed: SandboxRenewalError[] = [];
  const work = await mount({ onRenewalError: (error) => failed.push(error) });
  mesa.lifeMs = 3_600_000;
  sandbox.answers['mount'] = { exitCode: 7 };
  await eventually('a failed renewal', async () => failed.length === 1);
  delete sandbox.answers['mount'];
  await eventually('a renewal', async () => work.keyId !== 'key_1');
  assert.deepEqual(mesa.asked.slice(-1), ['revoke key_1']);
  await work.close();
});

test('a key that is about to expire is renewed before the rest is sent', async () => {
  const { mesa, sandbox, mount } = fakes();
  mesa.lifeMs = 20_000;
  const work = await mount();
  await work.close();
  assert.deepEqual(sandbox.purposes.slice(3), ['mount', 'sync', 'unmount']);
  assert.deepEqual(mesa.asked.slice(2), ['make key_2', 'revoke key_1', 'revoke key_2']);
});

test('options that cannot be right are refused before anything is asked', async () => {
  const { mesa, sandbox, mount } = fakes();
  const wrong: Partial<SandboxMountOptions>[] = [
    { install: 'apt' as never },
    { timeoutMs: 1 },
    { timeoutMs: Number.NaN },
    { mountPoint: 'mnt' },
    { version: '1; rm' },
    { bookmark: 'a,b' },
    { serverUrl: 'mesa.example.com' },
    { serverUrl: 'https://user:pass@mesa.example.com' },
    { env: { 'A B': '' } },
    { env: { MESA_ORGS: 'o:k' } },
  ];
  for (const options of wrong) await rejects(mount(options), InvalidOptionsError);
  const lines = { repo: 'work', env: { A: 'b\nc' } };
  const runner = sandbox.runner({ secrets: 'stdin' });
  await rejects(mountInSandbox(mesa, runner, lines), InvalidOptionsError);
  assert.deepEqual([mesa.asked, sandbox.commands], [[], []]);
});
