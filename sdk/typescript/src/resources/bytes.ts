import type { Bytes, FileOp, ResolutionInput } from '../types/changes.js';

/** Content in the one encoding the server reads. What is base64 already stays as it is. */
function encoded<T extends Partial<Bytes>>(item: T): T {
  const { content, encoding } = item;
  if (content === undefined || (typeof content === 'string' && encoding !== 'utf-8')) return item;
  return { ...item, content: Buffer.from(content).toString('base64'), encoding: 'base64' };
}

/** An input whose file operations are encoded. */
export function encodedFiles<T extends { files?: FileOp[] | undefined }>(input: T): T {
  return input.files
    ? { ...input, files: input.files.map((op) => encoded(op as FileOp & Partial<Bytes>)) }
    : input;
}

/** An input whose resolutions are encoded. */
export function encodedResolutions<T extends { resolutions?: ResolutionInput[] | undefined }>(
  input: T,
): T {
  if (!input.resolutions) return input;
  const resolutions = input.resolutions.map((one) =>
    'hunks' in one
      ? { ...one, hunks: one.hunks.map((hunk) => encoded(hunk as typeof hunk & Partial<Bytes>)) }
      : encoded(one as typeof one & Partial<Bytes>),
  );
  return { ...input, resolutions };
}
