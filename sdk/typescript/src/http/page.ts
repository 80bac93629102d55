import { InvalidResponseError } from '../errors/index.js';

/** Answer of a list: items under `K`, and where it goes on. */
export type PageBody<K extends string, T> = Record<K, T[]> & {
  /** Pass it as `cursor` for the next page; null on the last one. */
  next_cursor: string | null;
  /** Whether there is a next page. */
  has_more: boolean;
};

/**
 * One page of a list. It is the server's answer as it came; iterating it goes over its items and
 * those of all pages after it.
 */
export type Page<K extends string, T> = PageBody<K, T> &
  AsyncIterable<T> & {
    /** The page after this one; null after the last. */
    nextPage(): Promise<Page<K, T> | null>;
  };

/**
 * What lists answer: a promise of the first page which can be iterated itself.
 *
 * ```ts
 * for await (const repo of mesa.repos.list()) use(repo);
 * const { repos, next_cursor } = await mesa.repos.list({ limit: 10 });
 * for await (const page of mesa.repos.list().pages()) use(page.repos);
 * ```
 */
export type PageRequest<K extends string, T> = Promise<Page<K, T>> &
  AsyncIterable<T> & {
    /** Page by page. */
    pages(): AsyncIterable<Page<K, T>>;
  };

/** Reads the page at a cursor. */
type Fetch<K extends string, T> = (cursor: string | undefined) => Promise<PageBody<K, T>>;

/** Begins a list: the first page is asked for at once. */
export function startList<K extends string, T>(
  key: K,
  fetch: Fetch<K, T>,
  cursor: string | undefined,
): PageRequest<K, T> {
  const first = pageAt(key, fetch, cursor);
  const pages = () => pagesFrom(first);
  return Object.assign(first, { pages, [Symbol.asyncIterator]: () => itemsOf(key, pages()) });
}

async function pageAt<K extends string, T>(
  key: K,
  fetch: Fetch<K, T>,
  cursor: string | undefined,
): Promise<Page<K, T>> {
  const body = await fetch(cursor);
  if (!Array.isArray(body?.[key])) {
    throw new InvalidResponseError(`The answer has no list of ${key}`);
  }
  const nextPage = async () => {
    if (!body.has_more || body.next_cursor === null) return null;
    if (body.next_cursor === cursor) {
      throw new InvalidResponseError('The next page is the same as this one');
    }
    return pageAt(key, fetch, body.next_cursor);
  };
  const iterate = () => itemsOf(key, pagesFrom(Promise.resolve(page)));
  // Not enumerable: a page prints, compares and serialises as the answer it is.
  const page = Object.defineProperties(body, {
    nextPage: { value: nextPage },
    [Symbol.asyncIterator]: { value: iterate },
  }) as Page<K, T>;
  return page;
}

async function* pagesFrom<K extends string, T>(
  first: Promise<Page<K, T>>,
): AsyncGenerator<Page<K, T>> {
  for (let page: Page<K, T> | null = await first; page; page = await page.nextPage()) yield page;
}

async function* itemsOf<K extends string, T>(
  key: K,
  pages: AsyncIterable<Page<K, T>>,
): AsyncGenerator<T> {
  for await (const page of pages) yield* page[key];
}
