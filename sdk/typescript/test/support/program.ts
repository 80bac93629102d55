// Runs programs as users would: a process of their own with an environment of their own.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { server } from './index.js';

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. */
export function run(
  file: string,
  args: string[],
  { cwd, env = {} }: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Ended> {
  return new Promise((done) => {
    const base = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' };
    execFile(file, args, { cwd, env: { ...base, ...env } }, (error, stdout, stderr) => {
      done({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr });
    });
  });
}

/** What a program printed that must succeed. */
export async function ran(...args: Parameters<typeof run>): Promise<string> {
  const { code, stdout, stderr } = await run(...args);
  assert.equal(code, 0, `${args[0]} ${args[1].join(' ')}\n${stdout}\n${stderr}`);
  return stdout;
}

/** The environment in which `new Mesa()` reaches the server. */
export const environment = (): Record<string, string> => ({
  MESA_API_URL: server.origin,
  MESA_API_KEY: server.adminKey,
});
