import type { SandboxCommand, SandboxOutput, SandboxRunner } from './runner.js';

// The parts of the providers' handles that are used, so that none of their packages is needed. That
// the real ones fit is checked by contract/providers.ts.

/** What `Sandbox.create()` of the package e2b answers. */
export interface E2bSandbox {
  commands: {
    run(
      command: string,
      options?: { envs?: Record<string, string>; user?: 'root'; timeoutMs?: number },
    ): Promise<SandboxOutput>;
  };
}

/** What `daytona.create()` of the package @daytonaio/sdk answers. */
export interface DaytonaSandbox {
  process: {
    executeCommand(
      command: string,
      directory?: string,
      env?: Record<string, string>,
      timeoutSeconds?: number,
    ): Promise<{ exitCode: number; result: string }>;
  };
}

/** What `SandboxInstance.create()` of the package @blaxel/core answers. */
export interface BlaxelSandbox {
  process: {
    exec(process: {
      command: string;
      env?: Record<string, string>;
      waitForCompletion?: boolean;
      timeout?: number;
    }): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  };
}

/** What `Sandbox.create()` of the package @superserve/sdk answers. */
export interface SuperserveSandbox {
  commands: {
    run(
      command: string,
      options?: { env?: Record<string, string>; timeoutMs?: number },
    ): Promise<SandboxOutput>;
  };
}

/** A command that a sprite runs. */
export interface SpriteProcess {
  stdin: { end(text: string): unknown };
  stdout: SpriteStream;
  stderr: SpriteStream;
  on(event: 'spawn', listener: () => void): unknown;
  on(event: 'exit', listener: (code: number) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** What such a command prints. */
export interface SpriteStream {
  on(event: 'data', listener: (piece: Uint8Array) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
}

/** What `client.createSprite()` of the package @fly/sprites answers. */
export interface Sprite {
  spawn(file: string, args?: string[]): SpriteProcess;
}

/** A sandbox of E2B. Installing is done as root, everything else as the sandbox's user. */
export const e2b = (sandbox: E2bSandbox): SandboxRunner => ({
  secrets: 'env',
  setupFuse: true,
  run: ({ line, env, asRoot, timeoutMs }) => {
    const user = asRoot ? { user: 'root' as const } : {};
    return answered(sandbox.commands.run(line, { envs: env, timeoutMs, ...user }));
  },
});

/** A sandbox of Daytona. It has no root: what root has to do belongs into the image. */
export const daytona = (sandbox: DaytonaSandbox): SandboxRunner => ({
  secrets: 'env',
  setupFuse: false,
  run: async ({ line, env, timeoutMs }) => {
    const seconds = Math.ceil(timeoutMs / 1000);
    const done = await sandbox.process.executeCommand(line, undefined, env, seconds);
    return { exitCode: done.exitCode, stdout: done.result, stderr: '' };
  },
});

/** A sandbox of Blaxel. */
export const blaxel = (sandbox: BlaxelSandbox): SandboxRunner => ({
  secrets: 'env',
  setupFuse: false,
  run: async ({ line, env, timeoutMs }) => {
    const timeout = Math.ceil(timeoutMs / 1000);
    const asked = { command: line, env, waitForCompletion: true, timeout };
    const { exitCode, stdout, stderr } = await sandbox.process.exec(asked);
    return { exitCode, stdout, stderr };
  },
});

/** A sandbox of Superserve. */
export const superserve = (sandbox: SuperserveSandbox): SandboxRunner => ({
  secrets: 'env',
  setupFuse: false,
  run: ({ line, env, timeoutMs }) => answered(sandbox.commands.run(line, { env, timeoutMs })),
});

/**
 * A sprite. Its service takes variables by its address, which proxies and logs see; so what is
 * secret goes by standard input.
 */
export const sprites = (sprite: Sprite): SandboxRunner => ({
  secrets: 'stdin',
  setupFuse: true,
  run: ({ argv: [file = 'sh', ...args], input }) =>
    new Promise((done, fail) => {
      const process = sprite.spawn(file, args);
      const [stdout, stderr] = [collected(process.stdout), collected(process.stderr)];
      process.on('error', fail);
      // Before, it takes no input.
      process.on('spawn', () => process.stdin.end(input));
      process.on('exit', async (exitCode) => {
        done({ exitCode, stdout: await stdout, stderr: await stderr });
      });
    }),
});

/** What a function for {@link exec} may answer. */
export interface ExecOutput {
  exitCode: number;
  stdout?: string | undefined;
  stderr?: string | undefined;
}

/** How a function for {@link exec} works. */
export interface ExecOptions {
  /**
   * `env` when absent: the function sets the command's variables. `stdin`: it writes `input` to the
   * command's standard input. Choose whichever does not show them to others.
   */
  secrets?: 'env' | 'stdin' | undefined;
  /** Whether root opens `/dev/fuse` to everybody when `mesa` is installed; not when absent. */
  setupFuse?: boolean | undefined;
}

/** Any machine, by a function that runs a command there: a container, a remote shell, this one. */
export const exec = (
  run: (command: SandboxCommand) => Promise<ExecOutput>,
  { secrets = 'env', setupFuse = false }: ExecOptions = {},
): SandboxRunner => ({
  secrets,
  setupFuse,
  run: async (command) => {
    const { exitCode, stdout = '', stderr = '' } = await answered(run(command));
    return { exitCode, stdout, stderr };
  },
});

/** Some clients throw the outcome of a command that failed. */
async function answered<T extends ExecOutput>(running: Promise<T>): Promise<T | SandboxOutput> {
  try {
    return await running;
  } catch (thrown) {
    const { exitCode, stdout, stderr } = (thrown ?? {}) as Record<string, unknown>;
    if (typeof exitCode !== 'number') throw thrown;
    return { exitCode, stdout: String(stdout ?? ''), stderr: String(stderr ?? '') };
  }
}

function collected(stream: SpriteStream): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  return new Promise((done) => {
    stream.on('data', (piece) => {
      text += decoder.decode(piece, { stream: true });
    });
    stream.on('end', () => done(text + decoder.decode()));
  });
}
