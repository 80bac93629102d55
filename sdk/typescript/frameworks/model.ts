import { MockLanguageModelV4 } from 'ai/test';

type Model = InstanceType<typeof MockLanguageModelV4>;
type Generated = Awaited<ReturnType<Model['doGenerate']>>;

/** A model that calls these tools, one in each step, and says that it is done. */
export function scripted(calls: [string, object][]): Model {
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  };
  let step = 0;
  return new MockLanguageModelV4({
    doGenerate: async (): Promise<Generated> => {
      const call = calls[step++];
      const [toolName, input] = call ?? ['', {}];
      const part = call
        ? { type: 'tool-call', toolCallId: `${step}`, toolName, input: JSON.stringify(input) }
        : { type: 'text', text: 'done' };
      const reason = call ? 'tool-calls' : 'stop';
      return {
        content: [part],
        finishReason: { unified: reason, raw: reason },
        usage,
        warnings: [],
      } as Generated;
    },
  });
}
