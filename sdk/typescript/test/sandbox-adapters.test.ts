// What each provider's client is asked. That their types fit is checked by kits/adapters.ts.
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import {
  blaxel,
  daytona,
  e2b,
  exec,
  type SandboxCommand,
  sprites,
  superserve,
} from '@mesadev/sdk/sandbox';

const command: SandboxCommand = {
  line: "sh -c 'true'",
  argv: ['sh', '-c', 'true'],
  env: { A: 'b' },
  input: '',
  asRoot: false,
  timeoutMs: 1500,
};
const asRoot = { ...command, asRoot: true };
const done = { exitCode: 0, stdout: 'out', stderr: 'err' };
const failed = { exitCode: 3, stdout: 'out', stderr: 'err' };

/** A function that notes its arguments and answers. */
function noting<T>(answer: T) {
  const asked: unknown[][] = [];
  const call = async (...args: unknown[]) => {
    asked.push(args);
    return answer;
  };
  return { asked, call };
}

test('E2B: root installs, and an outcome may be thrown', async () => {
  const { asked, call } = noting(done);
  const runner = e2b({ commands: { run: call } });
  assert.deepEqual([runner.secrets, runner.setupFuse], ['env', true]);
  assert.equal(await runner.run(command), done);
  await runner.run(asRoot);
  const how = { envs: { A: 'b' }, timeoutMs: 1500 };
  assert.deepEqual(asked, [
    [command.line, how],
    [command.line, { ...how, user: 'root' }],
  ]);
  const exit = Object.assign(new Error('exit status 3'), failed);
  const throwing = (error: Error) => e2b({ commands: { run: () => Promise.reject(error) } });
  assert.deepEqual(await throwing(exit).run(command), failed);
  await assert.rejects(throwing(new Error('reset')).run(command), /^Error: reset$/);
});

test('Daytona: seconds, and one output', async () => {
  const { asked, call } = noting({ exitCode: 3, result: 'outerr' });
  const runner = daytona({ process: { executeCommand: call as never } });
  assert.deepEqual([runner.secrets, runner.setupFuse], ['env', false]);
  const output = { exitCode: 3, stdout: 'outerr', stderr: '' };
  assert.deepEqual(await runner.run(asRoot), output);
  assert.deepEqual(asked, [[command.line, undefined, { A: 'b' }, 2]]);
});

test('Blaxel: one request that waits', async () => {
  const { asked, call } = noting({ ...failed, logs: 'outerr', pid: '1' });
  assert.deepEqual(await blaxel({ process: { exec: call } }).run(command), failed);
  const waits = { command: command.line, env: { A: 'b' }, waitForCompletion: true, timeout: 2 };
  assert.deepEqual(asked, [[waits]]);
});

test('Superserve: its own time limit is replaced', async () => {
  const { asked, call } = noting(failed);
  assert.deepEqual(await superserve({ commands: { run: call } }).run(asRoot), failed);
  assert.deepEqual(asked, [[command.line, { env: { A: 'b' }, timeoutMs: 1500 }]]);
});

/** A process that takes input once it is spawned, as sprites' do. */
class FakeProcess extends EventEmitter {
  stdin = { end: (text: string) => this.given.push(text) };
  stdout = new PassThrough();
  stderr = new PassThrough();
  given: string[] = [];
}

test('Sprites: words without a shell, and secrets by the standard input', async () => {
  const asked: unknown[][] = [];
  const process = new FakeProcess();
  const spawn = (...args: unknown[]) => {
    asked.push(args);
    return process;
  };
  const runner = sprites({ spawn });
  assert.deepEqual([runner.secrets, runner.setupFuse], ['stdin', true]);
  const running = runner.run({ ...command, env: {}, input: 'A=b\n\n' });
  assert.deepEqual(process.given, []);
  process.emit('spawn');
  const [first, second] = [Buffer.from('ü').subarray(0, 1), Buffer.from('ü').subarray(1)];
  process.stdout.write(first);
  process.emit('exit', 3);
  process.stdout.end(second);
  process.stderr.end('err');
  assert.deepEqual(await running, { exitCode: 3, stdout: 'ü', stderr: 'err' });
  assert.deepEqual([asked, process.given], [[['sh', ['-c', 'true']]], ['A=b\n\n']]);
  const broken = new FakeProcess();
  const breaking = sprites({ spawn: () => broken }).run(command);
  broken.emit('error', new Error('reset'));
  await assert.rejects(breaking, /reset/);
});

test('any function: what it does not say is empty', async () => {
  const { asked, call } = noting({ exitCode: 3 });
  const runner = exec(call);
  assert.deepEqual([runner.secrets, runner.setupFuse], ['env', false]);
  assert.deepEqual(await runner.run(command), { exitCode: 3, stdout: '', stderr: '' });
  assert.deepEqual(asked, [[command]]);
  assert.equal(exec(call, { secrets: 'stdin' }).secrets, 'stdin');
  const thrown = Object.assign(new Error('exit'), { exitCode: 4, stderr: 'why' });
  const throwing = exec(async () => Promise.reject(thrown));
  assert.deepEqual(await throwing.run(command), { exitCode: 4, stdout: '', stderr: 'why' });
});
