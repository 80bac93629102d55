// Fails when the server offers an operation that no test called.
//   node contract/driven.mjs <served> <called>: files with an operation on each line
import { readFileSync } from 'node:fs';

const lines = (file) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
const [served, called] = process.argv.slice(2).map(lines);
/** They can't succeed before the server transfers git. */
const refusedAlways = ['syncUpstream', 'getRepoUpstreamSync'];
const done = new Set([...called, ...refusedAlways]);
const missing = served.filter((id) => !done.has(id));
if (served.length === 0 || missing.length > 0) {
  process.stderr.write(`error: no test of the SDK calls ${missing.join(', ') || 'anything'}\n`);
  process.stderr.write(
    'hint: add a method in src/resources, its line in contract/check.ts, a test\n',
  );
  process.exit(1);
}
