// A client without a server, and a sandbox without a machine: both tell what they were asked.
import {
  exec,
  type SandboxClient,
  type SandboxCommand,
  type SandboxOutput,
  type SandboxRunner,
} from '@mesadev/sdk/sandbox';

export const SECRET = 'mesa_verysecretkey';

/** A client that makes keys `key_1`, `key_2`, ... */
export class FakeClient implements SandboxClient {
  apiUrl = 'https://mesa.example.com/v1';
  /** What was asked, in order. */
  asked: string[] = [];
  made: Parameters<SandboxClient['apiKeys']['create']>[0][] = [];
  lifeMs = 3_600_000;
  /** Throws for a call that begins so. */
  failing: Record<string, Error> = {};

  resolveOrg = async (org?: string) => org ?? 'my-org';
  repos = {
    get: async ({ org = '', repo }: { org?: string; repo: string }) => {
      this.#note(`repo ${repo}`);
      const facts = { default_bookmark: 'main', head_change_id: 'z', upstream: null, tags: {} };
      return { id: `id_${repo}`, org, name: repo, created_at: '2026-01-01', ...facts };
    },
  };
  apiKeys = {
    create: async (input: Parameters<SandboxClient['apiKeys']['create']>[0]) => {
      const id = `key_${this.made.length + 1}`;
      this.#note(`make ${id}`);
      this.made.push(input);
      const { scopes = [], repo_ids = null, name = null } = input;
      const created_at = new Date(0).toISOString();
      const expires_at = new Date(this.lifeMs).toISOString();
      const key = `${SECRET}${this.made.length}`;
      return { id, key, name, scopes, repo_ids, tags: {}, created_at, expires_at };
    },
    revoke: async ({ id }: { id: string }) => this.#note(`revoke ${id}`),
  };

  #note(what: string): void {
    this.asked.push(what);
    const failure = Object.entries(this.failing).find(([begin]) => what.startsWith(begin));
    if (failure) throw failure[1];
  }
}

/** What a script is for. */
export function purpose({ argv }: SandboxCommand): string {
  const text = argv[2] ?? '';
  if (text.includes('mesa mount')) return 'mount';
  if (text.includes('mesa unmount'))
    return text.includes('--force') ? 'unmount by force' : 'unmount';
  if (text.includes('mesa sync')) return 'sync';
  if (text.includes('mesa edit')) return 'edit';
  if (text.includes('tries=')) return 'ready';
  return text.includes('mesa version') || text.includes('/dev/fuse') ? 'install' : 'command';
}

/** Where the fake sandbox mounts. */
export const POINT = '/home/user/mnt';
export const MOUNTED = '=mesa-mount= ';

/** A sandbox in which everything succeeds, but for what is told to fail. */
export class FakeSandbox {
  commands: SandboxCommand[] = [];
  alreadyMounted = false;
  /** By purpose: an outcome, or what is thrown. */
  answers: Record<string, Partial<SandboxOutput> | Error | (() => Promise<SandboxOutput>)> = {};

  get purposes(): string[] {
    return this.commands.map(purpose);
  }

  runner = (how: Parameters<typeof exec>[1] = {}): SandboxRunner =>
    exec(async (command) => {
      this.commands.push(command);
      const answer = this.answers[purpose(command)];
      if (answer instanceof Error) throw answer;
      if (typeof answer === 'function') return answer();
      const said = { mount_point: POINT, already_mounted: this.alreadyMounted };
      const stdout =
        purpose(command) === 'mount' ? `motd\n${MOUNTED}${JSON.stringify(said)}\n` : '';
      return { exitCode: 0, stdout, stderr: '', ...answer };
    }, how);

  /** All that the sandbox's service could see on a command line. */
  get shown(): string {
    return this.commands.map(({ line, argv }) => [line, ...argv].join('\n')).join('\n');
  }
}
