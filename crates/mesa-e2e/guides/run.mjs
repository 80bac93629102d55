// run.mjs GUIDE BLOCK...: runs code blocks of a guide (counted from 0) as they are.
// run.mjs FILE.js: runs a program of the kits. In both the providers' packages are replaced by
// `providers.mjs`, which runs the commands in a sandbox of the tests; the package @mesadev/sdk is the
// published one in guides, that of this repository in kits. Only addresses and keys differ from the
// text.
//
//   MESA_TEST_URL    the server, from outside       MESA_TEST_INSIDE   the same, from inside
//   MESA_API_KEY     an admin key                   MESA_TEST_ENTER    `enter PID`, by spaces
//   MESA_TEST_VERSION
import { readFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { register } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [guide, ...wanted] = process.argv.slice(2);
const text = guide.endsWith('.js') ? '' : readFileSync(join(here, `${guide}.md`), 'utf8');
const blocks = [...text.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(([, kind, code]) => ({ kind, code }));

/** The commands of an image's file, and how an image would run them. */
function dockerfile(code) {
  const runs = code.replaceAll('\\\n', '').split('\n').filter((line) => line.startsWith('RUN '));
  return `await globalThis.build(${JSON.stringify(runs)});\n`;
}

const imports = new Set();
let body = '';
for (const index of wanted) {
  const { kind, code } = blocks[Number(index)];
  if (kind === 'dockerfile') body += dockerfile(code);
  else
    body += code.replace(/^import .*$/gm, (line) => {
      imports.add(line);
      return '';
    });
}

register('./resolve.mjs', import.meta.url);
const { log } = await import('./providers.mjs');
const place = mkdtempSync(join(tmpdir(), 'mesa-guide-'));
try {
  const file = text ? join(place, `${guide}.mjs`) : guide;
  if (text) writeFileSync(file, `${[...imports].join('\n')}\n${body}`);
  await import(pathToFileURL(file).href);
} finally {
  rmSync(place, { recursive: true });
  console.log(JSON.stringify(log));
}
