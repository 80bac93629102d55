import { MesaError } from '../errors/index.js';
import { CLASSES, type SandboxFailure, type SandboxStep } from './errors.js';
import type { SandboxCommand, SandboxOutput, SandboxRunner } from './runner.js';
import { quoted, script } from './scripts.js';

/** How long after its own time limit a command is given up here. */
const GRACE_MS = 10_000;
/** Of what a command printed, the end is kept. */
const OUTPUT_CHARS_MAX = 65_536;
const SHOWN_CHARS_MAX = 2_000;

/** What goes into one command. */
export interface Asked {
  step: SandboxStep;
  /** The sentence for when it fails. */
  what: string;
  text: string;
  env: Record<string, string>;
  asRoot?: boolean;
  timeoutMs: number;
}

/** Runs scripts in a sandbox; what comes back holds none of the secrets. */
export class Access {
  readonly #runner: SandboxRunner;
  readonly #secrets: string[] = [];

  constructor(runner: SandboxRunner) {
    this.#runner = runner;
  }

  /** Never shows this text again. */
  hide(secret: string): void {
    this.#secrets.push(secret);
  }

  /** Runs a script; throws the step's error unless its exit code is 0. */
  async run(asked: Asked): Promise<SandboxOutput> {
    const { step, what, timeoutMs } = asked;
    let done: SandboxOutput;
    try {
      done = await within(this.#runner.run(this.#command(asked)), timeoutMs + GRACE_MS);
    } catch (thrown) {
      throw this.failure(step, { what, why: reasonOf(thrown), cause: thrown });
    }
    const output: SandboxOutput = {
      exitCode: done.exitCode,
      stdout: this.#shown(done.stdout),
      stderr: this.#shown(done.stderr),
    };
    if (output.exitCode === 0) return output;
    const { exitCode } = output;
    const printed = kept(`${output.stdout}${output.stderr}`);
    const why = explained(printed) ?? `exit code ${exitCode}${said(printed)}`;
    throw this.failure(step, { what, why, exitCode, output: printed });
  }

  /** The error of a step, without secrets. */
  failure<S extends SandboxStep>(step: S, { cause, ...failure }: SandboxFailure) {
    const [what, why] = [this.#shown(failure.what), this.#shown(failure.why)];
    const output = this.#shown(failure.output ?? '');
    return new CLASSES[step]({ ...failure, what, why, output, cause: this.#harmless(cause) });
  }

  #command({ text, env, asRoot, timeoutMs }: Asked): SandboxCommand {
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const bySecretInput = this.#runner.secrets === 'stdin' && variables.length > 0;
    const whole = script(text, bySecretInput);
    return {
      line: `sh -c ${quoted(whole)}`,
      argv: ['sh', '-c', whole],
      env: bySecretInput ? {} : env,
      input: bySecretInput ? `${[...variables, ''].join('\n')}\n` : '',
      asRoot: asRoot ?? false,
      timeoutMs,
    };
  }

  #shown(text: string): string {
    return this.#secrets.reduce((shown, secret) => shown.replaceAll(secret, 'mesa_***'), text);
  }

  /** Clients' errors may hold the request with the key in it, where printing them shows it. */
  #harmless(cause: unknown): unknown {
    if (cause === undefined || cause instanceof MesaError) return cause;
    const copy = new Error(this.#shown(reasonOf(cause)));
    if (cause instanceof Error) {
      copy.name = cause.name;
      copy.stack = this.#shown(cause.stack ?? '');
    }
    return copy;
  }
}

const kept = (printed: string): string => printed.slice(-OUTPUT_CHARS_MAX);

const reasonOf = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.message || thrown.name : String(thrown);

const said = (printed: string): string => {
  const text = printed.trim().slice(-SHOWN_CHARS_MAX);
  return text === '' ? '' : `\n${text}`;
};

/** What `mesa --json` says of its failure: the message, its causes, what to do. */
function explained(printed: string): string | undefined {
  for (const line of printed.split('\n').reverse()) {
    if (!line.startsWith('{"error":')) continue;
    try {
      const { message, causes = [], hint } = JSON.parse(line).error;
      return [[message, ...causes].join(': '), ...(hint ? [`hint: ${hint}`] : [])].join('\n');
    } catch {
      // Another program's.
    }
  }
  return undefined;
}

/** Rejects when a service does not come back from a command. */
async function within<T>(running: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    const seconds = Math.round(ms / 1000);
    timer = setTimeout(() => fail(new Error(`no answer within ${seconds} s`)), ms);
  });
  try {
    return await Promise.race([running, late]);
  } finally {
    clearTimeout(timer);
  }
}
