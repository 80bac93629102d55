import { InvalidOptionsError } from '../errors/index.js';

/** Values of a query; undefined ones are left out. */
export type Query = Record<string, string | number | boolean | undefined>;

/** A route with the values of its parameters, and what of the input is left. */
export interface Filled {
  path: string;
  rest: Record<string, unknown>;
}

/**
 * Puts an input's values into the places of a route (`/{org}/{repo}/bookmarks/{bookmark}`). What
 * the route does not name is left for the query or body.
 */
export function fillRoute(route: string, input: object): Filled {
  const rest: Record<string, unknown> = { ...input };
  const path = route.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = rest[name];
    delete rest[name];
    return segment(name, value);
  });
  return { path, rest };
}

/** One part of a path. What URLs give a meaning of their own is refused, else it changed the route. */
function segment(name: string, value: unknown): string {
  if (typeof value !== 'string' || value === '') {
    throw new InvalidOptionsError(`${name} must be a string that is not empty`);
  }
  if (value === '.' || value === '..') {
    throw new InvalidOptionsError(`${name} must not be ${value}`);
  }
  try {
    return encodeURIComponent(value);
  } catch (cause) {
    throw new InvalidOptionsError(`${name} is not well-formed text`, { cause });
  }
}

/** `?a=1&b=2`, or nothing. */
export function queryString(query: object): string {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue;
    pairs.append(key, typeof value === 'object' ? JSON.stringify(value) : String(value));
  }
  const text = pairs.toString();
  return text === '' ? '' : `?${text}`;
}
