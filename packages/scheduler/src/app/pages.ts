/** Pages of long lists: the smallest keys after a cursor. Costs one pass over the keys and memory for a page. */
import { err, ok, problem, type Problem, type Result } from "@berth/schema";

export const DEFAULT_PAGE = 500;
export const MAX_PAGE = 1_000;

export interface PageRequest {
  readonly limit: number;
  /** As a former page gave it. */
  readonly cursor: string | undefined;
}

export interface Page<K> {
  readonly keys: readonly K[];
  readonly next: string | null;
}

const encode = (key: string): string => Buffer.from(key).toString("base64url");

const decodeCursor = (cursor: string): string | undefined => {
  const key = Buffer.from(cursor, "base64url").toString();
  return key !== "" && encode(key) === cursor ? key : undefined;
};

const byText = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);

export const pageOf = <K extends string>(keys: Iterable<K>, request: PageRequest): Result<Page<K>, Problem> => {
  const after = request.cursor === undefined ? undefined : decodeCursor(request.cursor);
  if (request.cursor !== undefined && after === undefined) {
    const errors = [{ pointer: "/cursor", message: 'must be the "next" of an earlier answer' }];
    return err(problem("request.invalid", "the cursor is not one of ours", { errors }));
  }
  const { limit } = request;
  let best: K[] = [];
  for (const key of keys) {
    if (after !== undefined && key <= after) continue;
    best.push(key);
    // One more than the page tells whether there is a next one.
    if (best.length >= 4 * (limit + 1)) best = best.sort(byText).slice(0, limit + 1);
  }
  best.sort(byText);
  const page = best.slice(0, limit);
  const last = page.at(-1);
  return ok({ keys: page, next: best.length > limit && last !== undefined ? encode(last) : null });
};
