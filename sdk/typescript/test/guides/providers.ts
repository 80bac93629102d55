// Stands for the sandbox providers' clients: notes what would run in a sandbox, and prints it at
// the end for the test.
interface Noted {
  command: string;
  env: Record<string, string>;
}

const noted: Noted[] = [];
const note = async (command: string, env: Record<string, string> = {}): Promise<void> => {
  noted.push({ command, env });
};
process.on('exit', () => process.stdout.write(JSON.stringify(noted)));

export class SandboxInstance {
  static create = async (_: { region?: string; image?: string }) => new SandboxInstance();
  process = { exec: (_: { command: string; waitForCompletion?: boolean }) => note(_.command) };
}

export class Daytona {
  constructor(readonly options: { apiKey?: string | undefined }) {}
  create = async (_: { image: string }) => ({
    process: { executeCommand: (command: string) => note(command) },
    fs: { uploadFile: (content: Buffer, path: string) => note(`upload ${path}\n${content}`) },
  });
}

export class Sandbox {
  static create = async (_: { fromTemplate?: string } = {}) => new Sandbox();
  commands = {
    run: (
      command: string,
      how: { user?: string; envs?: Record<string, string>; env?: Record<string, string> } = {},
    ) => note(command, how.envs ?? how.env),
  };
}

export class SpritesClient {
  constructor(readonly token: string | undefined) {}
  createSprite = async (_: string) => ({
    execFile: (file: string, args: string[]) => note([file, ...args].join(' ')),
    destroy: async () => {},
  });
}
