// The SDK's adapters take what the providers' own packages answer. Compiled only.
import type { SandboxInstance } from '@blaxel/core';
import type { Sandbox as DaytonaSandbox } from '@daytonaio/sdk';
import type { Sprite } from '@fly/sprites';
import type { Sandbox as SuperserveSandbox } from '@superserve/sdk';
import type { Sandbox as E2bSandbox } from 'e2b';
import { Mesa } from '@mesadev/sdk';
import {
  blaxel,
  daytona,
  e2b,
  mountInSandbox,
  type SandboxRunner,
  sprites,
  superserve,
} from '@mesadev/sdk/sandbox';

export const runners = (
  inE2b: E2bSandbox,
  inDaytona: DaytonaSandbox,
  inBlaxel: SandboxInstance,
  inSuperserve: SuperserveSandbox,
  inSprites: Sprite,
): SandboxRunner[] => [
  e2b(inE2b),
  daytona(inDaytona),
  blaxel(inBlaxel),
  superserve(inSuperserve),
  sprites(inSprites),
];

export const mixedUp = (inE2b: E2bSandbox, inDaytona: DaytonaSandbox): SandboxRunner[] => [
  // @ts-expect-error Another provider's.
  daytona(inE2b),
  // @ts-expect-error Another provider's.
  e2b(inDaytona),
];

export const used = async (inE2b: E2bSandbox): Promise<string> => {
  await using work = await mountInSandbox(new Mesa(), e2b(inE2b), { repo: 'r' });
  return work.path;
};
