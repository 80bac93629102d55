// The tools of @mesadev/sdk/ai, driven by the real AI SDK with a model that says what it is told to.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FileSystemLike, fileTools } from '@mesadev/sdk/ai';
import { generateText, stepCountIs, type ToolSet } from 'ai';
import { InMemoryFs } from 'just-bash';
import { scripted } from './model.js';

const files = (): InMemoryFs =>
  new InMemoryFs({
    '/acme/notes/a.md': 'one\ntwo\nthree\n',
    '/acme/notes/src/b.md': 'two\n',
    '/acme/other/c.md': 'secret\n',
  });

/** What the tools answered when the model called them. */
async function called(tools: ToolSet, ...calls: [string, object][]): Promise<unknown[]> {
  const result = await generateText({
    model: scripted(calls),
    tools,
    stopWhen: stepCountIs(calls.length + 1),
    prompt: 'Work',
  });
  assert.equal(result.text, 'done');
  return result.steps.flatMap((step) =>
    step.content.flatMap((part) => {
      if (part.type === 'tool-result') return [part.output];
      return part.type === 'tool-error' ? [String(part.error)] : [];
    }),
  );
}

test('a model reads, writes, edits, searches, moves and deletes', async () => {
  const fs = files();
  const tools = fileTools(fs satisfies FileSystemLike, { root: '/acme/notes' });
  const answers = await called(
    tools,
    ['readFile', { path: '/a.md', offset: 1, limit: 1 }],
    ['writeFile', { path: '/new/deep.md', content: 'ä' }],
    ['editFile', { path: '/a.md', oldText: 'two', newText: '2' }],
    ['searchFiles', { text: 'two' }],
    ['moveFile', { from: '/new/deep.md', to: '/deep.md' }],
    ['listFiles', { path: '/', recursive: true }],
    ['deleteFile', { path: '/new', recursive: true }],
  );
  assert.deepEqual(answers, [
    { content: 'two\n', lines: 3, from: 1, to: 2 },
    { written: 2 },
    { replaced: 1 },
    { matches: [{ path: '/src/b.md', line: 1, text: 'two' }], truncated: false },
    { moved: true },
    {
      entries: [
        { path: '/a.md', type: 'file' },
        { path: '/deep.md', type: 'file' },
        { path: '/new', type: 'directory' },
        { path: '/src', type: 'directory' },
        { path: '/src/b.md', type: 'file' },
      ],
      truncated: false,
    },
    { deleted: true },
  ]);
  assert.equal(await fs.readFile('/acme/notes/a.md'), 'one\n2\nthree\n');
  assert.equal(await fs.readFile('/acme/notes/deep.md'), 'ä');
});

test('failures are answers that a model can read', async () => {
  const answers = await called(
    fileTools(files(), { root: '/acme/notes' }),
    ['readFile', { path: '/none' }],
    ['readFile', { path: '/../other/c.md' }],
    ['editFile', { path: '/a.md', oldText: 'o', newText: '' }],
    ['editFile', { path: '/a.md', oldText: 'zzz', newText: '' }],
    ['deleteFile', { path: '/', recursive: true }],
    ['listFiles', { path: '/none' }],
  );
  const said = answers.map((answer) => (answer as { error: string }).error);
  assert.match(said[0] ?? '', /\/none does not exist/);
  assert.match(said[1] ?? '', /does not exist/);
  assert.match(said[2] ?? '', /occurs 2 times/);
  assert.match(said[3] ?? '', /does not occur/);
  assert.match(said[4] ?? '', /root/);
  assert.match(said[5] ?? '', /does not exist/);
});

test('input that does not fit never reaches the files', async () => {
  const answers = await called(fileTools(files()), ['readFile', { path: 1, more: true }]);
  assert.match(String(answers[0]), /path is no string|Invalid input/);
});

test('read-only tools do not write', () => {
  const names = Object.keys(fileTools(files(), { readOnly: true }));
  assert.deepEqual(names, ['readFile', 'listFiles', 'searchFiles']);
});

test('what is no text is said to be none', async () => {
  const fs = files();
  await fs.writeFile('/binary', new Uint8Array([0xff, 0xfe]));
  const [answer] = await called(fileTools(fs), ['readFile', { path: '/binary' }]);
  assert.deepEqual(answer, { error: '/binary is no text' });
});
