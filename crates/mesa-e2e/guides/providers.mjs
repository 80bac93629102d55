// The parts of the providers' packages that the guides call. Commands run in the test's sandbox as
// each provider runs them: as which user, by which shell. A command counts as finished when its
// pipes are closed, as the providers' services do it.
import { spawnSync } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';

const { MESA_TEST_ENTER, MESA_TEST_INSIDE, MESA_TEST_URL, MESA_TEST_VERSION } = process.env;
const enter = MESA_TEST_ENTER.split(' ');

/** Every command with its outcome. */
export const log = [];

const PACKAGE = 'https://packages.buildkite.com/mesa-dot-dev/debian-public/any/pool/any/main/m/mesa/mesa_0.20.0_amd64.deb';

/** The text with this server's addresses. */
const here = (text) =>
  text
    .replaceAll(MESA_TEST_URL, MESA_TEST_INSIDE)
    .replaceAll('https://mesa.dev/install.sh', `${MESA_TEST_INSIDE}/install.sh`)
    .replaceAll(PACKAGE, `${MESA_TEST_INSIDE}/download/mesa_${MESA_TEST_VERSION}_amd64.deb`);

function exec(user, words, env = {}, input = '') {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const args = [...enter.slice(1), user, ...variables, '--', ...words.map(here)];
  const started = Date.now();
  const { status, stdout, stderr } = spawnSync(enter[0], args, { encoding: 'utf8', input, timeout: 60_000 });
  const result = { command: words.at(-1), status, stdout, stderr, ms: Date.now() - started };
  log.push(result);
  if (status !== 0) throw new Error(`${words.at(-1)}\nexit code ${status}\n${stdout}\n${stderr}`);
  return { exitCode: status, stdout, stderr, result: stdout + stderr, logs: stdout + stderr };
}

const image = (line) => exec('root', ['/bin/sh', '-c', line.replace(/^RUN /, '')]);

/** Runs the RUN lines of an image's file, as root. */
globalThis.build = (lines) => lines.forEach(image);

// E2B: a login shell of bash, as `user` unless another is named.
const e2b = {
  commands: { run: async (text, { user = 'user', envs } = {}) => exec(user, ['/bin/bash', '-l', '-c', text], envs) },
  kill: async () => {},
};

// Superserve: the guest's agent is root with HOME=/home/user.
const superserve = {
  commands: { run: async (text, { env } = {}) => exec('root', ['/bin/bash', '-c', text], { HOME: '/home/user', ...env }) },
  kill: async () => {},
};

export const Sandbox = { create: async ({ fromTemplate } = {}) => (fromTemplate ? superserve : e2b) };

export const Template = {
  create: async ({ steps }) => {
    steps.forEach(({ run }) => image(run));
    return { waitUntilReady: async () => {} };
  },
};

// Blaxel: a shell of the image, as root.
export const SandboxInstance = {
  create: async () => ({
    process: { exec: async ({ command, env }) => exec('root', ['/bin/sh', '-c', command], env) },
    delete: async () => {},
  }),
};

// Daytona: a login shell, as `daytona`. The guide's image has no curl, without which its next
// command does nothing and does not say so; so one is there.
class DaytonaImage {
  lines = ['RUN apt-get update && apt-get install -y --no-install-recommends curl'];
  static debianSlim() {
    return new DaytonaImage();
  }
  dockerfileCommands(lines) {
    this.lines.push(...lines);
    return this;
  }
}
globalThis.Image = DaytonaImage;
export { DaytonaImage as Image };

export class Daytona {
  async create({ image: made }) {
    made.lines.forEach(image);
    const run = (text, env, input) => exec('daytona', ['/bin/bash', '-lc', text], env, input);
    return {
      process: { executeCommand: async (text, _directory, env) => run(text, env) },
      fs: { uploadFile: async (bytes, path) => run(`mkdir -p "$(dirname ${path})" && cat > ${path}`, {}, bytes.toString()) },
      delete: async () => {},
    };
  }
}

// Sprites: no shell, as root. What is spawned takes its input later, and runs then.
class SpriteCommand extends EventEmitter {
  stdout = new PassThrough();
  stderr = new PassThrough();

  constructor(words) {
    super();
    this.stdin = { end: (input) => this.run(words, input) };
    setImmediate(() => this.emit('spawn'));
  }

  run(words, input) {
    try {
      const { exitCode, stdout, stderr } = exec('root', words, {}, input);
      this.stdout.end(stdout);
      this.stderr.end(stderr);
      this.emit('exit', exitCode);
    } catch (error) {
      this.emit('error', error);
    }
  }
}

export class SpritesClient {
  async createSprite() {
    return {
      execFile: async (file, args) => exec('root', [file, ...args]),
      spawn: (file, args) => new SpriteCommand([file, ...args]),
      destroy: async () => {},
    };
  }
}
