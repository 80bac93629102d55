// The published @mesadev/sdk 0.38.0, unmodified, with an addon of this repository (MESA_NAPI_PATH):
// mounts, reads, writes, watches, runs a shell. It ends without closing: it has no way to.
import assert from 'node:assert/strict';
import { Mesa } from '@mesadev/sdk';

const { MESA_TEST_URL: url, MESA_TEST_KEY: apiKey, MESA_TEST_ORG: org } = process.env;
const repo = process.env.MESA_TEST_REPO;
const mesa = new Mesa({ apiKey, org, apiUrl: `${url}/v1`, vcsUrl: url });
const mount = () => mesa.fs.mount({ repos: [{ name: repo, bookmark: 'main' }] });
const root = `/${org}/${repo}`;

const until = async (what, found) => {
  for (const end = Date.now() + 10_000; !(await found()); ) {
    assert.ok(Date.now() < end, `never: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
};

const fs = await mount();
assert.deepEqual(await fs.readdir('/'), [org]);
assert.deepEqual(await fs.readdir(`/${org}`), [repo]);
await fs.mkdir(`${root}/src/deep`, { recursive: true });
await fs.writeFile(`${root}/src/a.txt`, 'one\n');
await fs.appendFile(`${root}/src/a.txt`, Buffer.from('two\n'));
await fs.writeFile(`${root}/bytes`, '\u00ff\u0000', 'binary');
assert.equal(await fs.readFile(`${root}/src/a.txt`), 'one\ntwo\n');
assert.equal(await fs.readFile(`${root}/bytes`, 'base64'), '/wA=');
assert.deepEqual([...(await fs.readFileBuffer(`${root}/bytes`))], [255, 0]);
assert.equal(await fs.exists(`${root}/none`), false);
await assert.rejects(fs.readFile(`${root}/none`), { code: 'ENOENT' });
await fs.symlink('a.txt', `${root}/src/link`);
await fs.chmod(`${root}/src/a.txt`, 0o755);
const time = new Date('2026-01-02T03:04:05Z');
await fs.utimes(`${root}/src/a.txt`, time, time);
const stat = await fs.stat(`${root}/src/link`);
assert.deepEqual([stat.isFile, stat.size, stat.mode & 0o777], [true, 8, 0o755]);
assert.equal(stat.mtime.getTime(), time.getTime());
assert.ok((await fs.lstat(`${root}/src/link`)).isSymbolicLink);
assert.equal(await fs.realpath(`${root}/src/link`), `${root}/src/a.txt`);
await fs.cp(`${root}/src`, `${root}/copy`, { recursive: true });
await fs.mv(`${root}/copy/a.txt`, `${root}/moved.txt`);
await fs.link(`${root}/moved.txt`, `${root}/linked.txt`);
await fs.rm(`${root}/copy`, { recursive: true, force: true });
const names = (await fs.readdirWithFileTypes(root)).map(({ name }) => name);
assert.deepEqual(names, ['bytes', 'linked.txt', 'moved.txt', 'src']);
await fs.setMetadata(`${root}/moved.txt`, { topic: 'x' });
assert.deepEqual(await fs.getMetadata(`${root}/moved.txt`), { org, repo, topic: 'x' });

const other = await mount();
const seen = [];
const subscription = fs.subscribe(({ path, recursive }) => {
  assert.equal(typeof recursive, 'boolean');
  seen.push(path);
});
await other.readdir(root);
await other.writeFile(`${root}/told.txt`, 'x');
await until('the handler is called', async () => seen.includes(`${root}/told.txt`));
assert.equal(await fs.readFile(`${root}/told.txt`), 'x');
subscription.unsubscribe();

const bash = fs.bash({ cwd: root });
const ran = await bash.exec(
  'set -e; cat src/a.txt | wc -l; for n in 1 2 3; do echo $n > n$n; done; grep -l 2 n*; rm n*; mkdir e; rmdir e; ls',
);
assert.equal(ran.exitCode, 0, ran.stderr);
assert.match(ran.stdout, /^\s*2\nn2\nbytes\nlinked.txt\nmoved.txt\nsrc\ntold.txt\n$/);

const current = await fs.change.current({ repo });
assert.match(current.changeId, /^[k-z]{32}$/);
assert.match(current.commitOid, /^[0-9a-f]{40}$/);
assert.ok((await fs.change.list({ repo, limit: 10 })).length >= 1);
await fs.bookmark.create({ repo, name: 'side' });
assert.deepEqual(await fs.bookmark.list({ repo }), ['main', 'side']);
const made = await fs.change.new({ repo, bookmark: 'main', message: 'next' });
assert.notEqual(made.changeOid, current.changeId);
await fs.change.edit({ repo, bookmark: 'main' });
await fs.writeFile(`${root}/last.txt`, 'no close');
