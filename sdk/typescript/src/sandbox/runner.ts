/** A command as a sandbox is asked to run it. */
export interface SandboxCommand {
  /** `sh -c '...'` as one line, for services that hand it to whichever shell there is. */
  line: string;
  /** The same as words, for services without a shell. */
  argv: string[];
  /** Variables, the key among them unless it comes by `input`. */
  env: Record<string, string>;
  /** What to write to the command's standard input before closing it; mostly nothing. */
  input: string;
  /** Whether it needs root where commands are run as somebody else. */
  asRoot: boolean;
  /** When to give up, in milliseconds. */
  timeoutMs: number;
}

/** What became of a command. */
export interface SandboxOutput {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** How to run commands in one sandbox: what the adapters make of a provider's handle. */
export interface SandboxRunner {
  /** How variables reach a command without being shown: by its environment or its input. */
  secrets: 'env' | 'stdin';
  /** Whether root has to open `/dev/fuse` to whoever works there. */
  setupFuse: boolean;
  /** Runs a command to its end. A command that fails is an answer, not an error. */
  run(command: SandboxCommand): Promise<SandboxOutput>;
}
