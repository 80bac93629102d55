// What runs in a sandbox: the same as in the Python package, and what it does in a shell.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as scripts from '../dist/esm/sandbox/scripts.js';
import { run } from './support/program.js';

const place: scripts.Place = {
  server: 'https://mesa.example.com',
  org: 'my-org',
  repo: 'work',
  install: 'auto',
  version: undefined,
  setupFuse: false,
  mountPoint: undefined,
  bookmark: undefined,
  isolate: false,
  readOnly: false,
  timeoutMs: 120_000,
};
const directory = "/home/it's/mnt/my-org/work";

/** Every text, by what makes it. */
const texts: Record<string, string> = {
  'install auto': scripts.install(place) ?? '',
  'install auto, fuse': scripts.install({ ...place, setupFuse: true }) ?? '',
  'install installer 1.2.3, fuse':
    scripts.install({ ...place, install: 'installer', version: '1.2.3', setupFuse: true }) ?? '',
  'install package': scripts.install({ ...place, install: 'package' }) ?? '',
  'install package 1.2.3, fuse':
    scripts.install({ ...place, install: 'package', version: '1.2.3', setupFuse: true }) ?? '',
  'install none': scripts.install({ ...place, install: 'none' }) ?? '',
  'install none, fuse': scripts.install({ ...place, install: 'none', setupFuse: true }) ?? '',
  mount: scripts.mount(place),
  'mount ~/m at draft, isolated': scripts.mount({
    ...place,
    mountPoint: '~/m',
    bookmark: 'draft',
    isolate: true,
  }),
  'mount /m, read-only': scripts.mount({ ...place, mountPoint: '/m', readOnly: true }),
  'mount read-only again': scripts.mount({ ...place, readOnly: true }, { again: true }),
  ready: scripts.ready(directory, place),
  edit: scripts.edit(directory, 'draft'),
  sync: scripts.sync(place),
  unmount: scripts.unmount(place, { force: false }),
  'unmount by force': scripts.unmount({ ...place, timeoutMs: 10_000 }, { force: true }),
  inside: scripts.inside(directory, 'make'),
  script: scripts.script('true', false),
  'script with variables': scripts.script('true', true),
};

test('the texts are those of both packages', () => {
  const file = fileURLToPath(new URL('../../sandbox-scripts.json', import.meta.url));
  // Written anew for a change that is meant; the Python package's tests read it, too.
  if (process.env['MESA_TEST_BLESS']) writeFileSync(file, `${JSON.stringify(texts, null, 2)}\n`);
  assert.deepEqual(texts, JSON.parse(readFileSync(file, 'utf8')));
});

/** A directory of programs that are told what to do, and a shell that finds no others. */
class Shell {
  readonly home = mkdtempSync(join(tmpdir(), 'mesa-sdk-shell.'));
  readonly bin = join(this.home, 'bin');

  constructor(...tools: string[]) {
    after(() => rmSync(this.home, { recursive: true }));
    mkdirSync(this.bin);
    for (const tool of ['sh', 'mktemp', 'rm', 'cat', 'sed', 'uname', 'id', 'chmod', ...tools]) {
      this.program(tool, `PATH=/usr/bin:/bin exec ${tool} "$@"`);
    }
  }

  program(name: string, text: string): void {
    writeFileSync(join(this.bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }

  /** A download tool that has these files, and notes in `log` what it was asked for. */
  downloads(tool: 'curl' | 'wget', files: Record<string, string>): void {
    mkdirSync(join(this.home, 'files'));
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(this.home, 'files', name), text);
    }
    const parse = tool === 'curl' ? 'to=$7 url=$8' : 'to=$3 url=$4';
    this.program(
      tool,
      `${parse}\necho "${tool} $url" >>"$HOME/log"\ncat "$HOME/files/$\{url##*/}" >"$to"`,
    );
  }

  sh(text: string) {
    const env = { PATH: this.bin, HOME: this.home };
    // As it is, but without this machine's own places.
    const whole = scripts.script(text, false).replace('/usr/local/bin:/usr/bin', '/nonexistent');
    return run('/bin/sh', ['-c', whole], { env });
  }

  get log(): string {
    return readFileSync(join(this.home, 'log'), 'utf8');
  }
}

const INSTALLER = `version='0.9'\necho "installer $*" >>"$HOME/log"
printf '#!/bin/sh\\necho mesa "$@" >>"$HOME/log"\\n' >"$HOME/bin/mesa"; chmod 755 "$HOME/bin/mesa"`;
const install = (more: Partial<scripts.Place>) => scripts.install({ ...place, ...more }) ?? '';

for (const tool of ['curl', 'wget'] as const) {
  test(`the installer is fetched by ${tool}, once`, async () => {
    const shell = new Shell();
    shell.downloads(tool, { 'install.sh': INSTALLER });
    assert.equal((await shell.sh(install({ version: '1.2' }))).code, 0);
    const server = 'https://mesa.example.com';
    const first = `${tool} ${server}/install.sh\ninstaller --yes --version 1.2\nmesa version\n`;
    assert.equal(shell.log, first);
    assert.equal((await shell.sh(install({ version: '1.2' }))).code, 0);
    assert.equal(shell.log, `${first}mesa version\n`);
  });
}

test('what cannot be fetched is told', async () => {
  const shell = new Shell();
  const without = await shell.sh(install({}));
  assert.deepEqual(
    [without.code, without.stderr.split('\n')[0]],
    [1, 'neither curl nor wget is in the sandbox'],
  );
  shell.program('curl', 'echo "curl: (6) no such host" >&2; exit 6');
  const away = await shell.sh(install({}));
  assert.equal(away.code, 1);
  assert.match(
    away.stderr,
    /no such host\nhttps:\/\/mesa.example.com\/install.sh cannot be fetched/,
  );
  assert.deepEqual((await shell.sh('ls "$work" 2>/dev/null || echo gone')).stdout, 'gone\n');
});

test('an installer that fails is a failure', async () => {
  const shell = new Shell();
  shell.downloads('curl', { 'install.sh': 'echo "error: no room" >&2; exit 1' });
  const { code, stderr } = await shell.sh(install({ install: 'installer' }));
  assert.deepEqual([code, stderr], [1, 'error: no room\n']);
});

test('a package is checked and given to the package manager', async () => {
  const arch = { x64: 'x86_64', arm64: 'aarch64' }[process.arch as string] ?? '';
  const name = `mesa_0.9_${arch}.apk`;
  const shell = new Shell('sha256sum');
  const sum = '3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7'; // of "data"
  const files = {
    'install.sh': INSTALLER,
    [name]: 'data',
    [`${name}.sha256`]: `${sum}  ${name}\n`,
  };
  shell.downloads('wget', files);
  shell.program('apk', 'echo "apk $*" >>"$HOME/log"');
  shell.program('mesa', 'echo "mesa $*" >>"$HOME/log"');
  const sudo = process.getuid?.() === 0 ? '' : 'sudo -n ';
  shell.program('sudo', 'echo "sudo" >>"$HOME/log"; shift; exec "$@"');
  const done = await shell.sh(install({ install: 'package' }));
  assert.equal(done.code, 0, done.stderr);
  assert.match(
    shell.log,
    /\n(sudo\n)?apk add --allow-untrusted --no-network \/\S+_(x86_64|aarch64).apk\nmesa version\n$/,
  );
  assert.equal(shell.log.includes('sudo'), sudo !== '');
  writeFileSync(join(shell.home, 'files', name), 'changed');
  const changed = await shell.sh(install({ install: 'package', version: '0.9' }));
  assert.deepEqual([changed.code, changed.stderr], [1, `${name} has not the checksum ${sum}\n`]);
});

test('the wait for a repo ends when it is there, and when time is up', async () => {
  const shell = new Shell('ls', 'sleep');
  const home = join(shell.home, "it's");
  shell.program('mesa', 'echo "no such repo"');
  const late = await shell.sh(scripts.ready(home, { ...place, timeoutMs: 1000 }));
  assert.deepEqual([late.code, late.stderr], [1, 'no such repo\n']);
  const soon = `(sleep 0.5; PATH=/bin:/usr/bin mkdir ${scripts.quoted(home)}) & `;
  const done = await shell.sh(soon + scripts.ready(home, place));
  assert.equal(done.code, 0, done.stderr);
});

test('variables come by the standard input as they are', async () => {
  const input = "A=a 'b' $c `d`\nB=\nC=x=y\n\n";
  const text = scripts.script('printf "%s|%s|%s" "$A" "$B" "$C"', true);
  const quoted = `printf %s ${scripts.quoted(input)} | sh -c ${scripts.quoted(text)}`;
  const said = await run('/bin/sh', ['-c', quoted]);
  assert.equal(said.stdout, "a 'b' $c `d`||x=y");
});
