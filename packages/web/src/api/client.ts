/**
 * Requests to the API of the same origin, with the session cookie. Nothing here throws: an answer is a value or a
 * failure that can be shown as it is.
 */
import {
  Routes,
  routePath,
  type ImageBringing,
  type ImageOperationList,
  type OutputList,
  type Problem,
  type Result,
  type Self,
  type Why,
} from "@berth/schema";

/** `status` is 0 when there was no answer at all. */
export interface Failure {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string | undefined;
}

const UNREACHABLE: Failure = {
  status: 0,
  code: "cluster.unreachable",
  title: "The scheduler does not answer",
  detail: undefined,
};

/** Reads a problem document (RFC 9457), whatever else the body may be. */
export const failureOf = async (response: Response): Promise<Failure> => {
  const problem = (await response.json().catch(() => ({}))) as Partial<Problem> | null;
  const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
  return {
    status: response.status,
    code: text(problem?.code) ?? `http.${response.status}`,
    title: text(problem?.title) ?? `The scheduler answered ${response.status}`,
    detail: text(problem?.detail),
  };
};

export interface RequestOptions {
  readonly method?: "GET" | "POST";
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export const request = async (path: string, options: RequestOptions = {}): Promise<Result<Response, Failure>> => {
  const signals = [
    options.signal,
    options.timeoutMs === undefined ? undefined : AbortSignal.timeout(options.timeoutMs),
  ];
  try {
    const response = await fetch(path, {
      method: options.method ?? "GET",
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.any(signals.filter((signal) => signal !== undefined)),
      ...(options.body === undefined
        ? {}
        : { body: JSON.stringify(options.body), headers: { "content-type": "application/json" } }),
    });
    return response.ok ? { ok: true, value: response } : { ok: false, error: await failureOf(response) };
  } catch {
    return { ok: false, error: UNREACHABLE };
  }
};

const json = async <T>(path: string, options: RequestOptions = {}): Promise<Result<T, Failure>> => {
  const answer = await request(path, { timeoutMs: 15_000, ...options });
  if (!answer.ok) return answer;
  try {
    return { ok: true, value: (await answer.value.json()) as T };
  } catch {
    return { ok: false, error: { ...UNREACHABLE, title: "The scheduler's answer cannot be read" } };
  }
};

export const fetchWhy = (
  project: string,
  job: string,
  index: number,
  signal: AbortSignal,
): Promise<Result<Why, Failure>> => json(routePath(Routes.taskWhy, { project, job, index }), { signal });

/** Who this page is for the API, and what it may change. */
export const fetchSelf = (signal: AbortSignal): Promise<Result<Self, Failure>> => json(Routes.self, { signal });

export const fetchOutputs = (allocation: string, signal: AbortSignal): Promise<Result<OutputList, Failure>> =>
  json(routePath(Routes.allocationOutputs, { allocation }), { signal });

export const fetchBringing = (allocation: string, signal: AbortSignal): Promise<Result<ImageBringing, Failure>> =>
  json(routePath(Routes.allocationImage, { allocation }), { signal });

/** What of images somebody ordered on this host, and runs now. */
export const fetchImageOperations = (host: string, signal: AbortSignal): Promise<Result<ImageOperationList, Failure>> =>
  json(`${Routes.imageOperations}?host=${encodeURIComponent(host)}`, { signal });

/** Asks for a stop. What comes of it arrives through the live feed. */
export const stopJob = async (project: string, job: string): Promise<Result<undefined, Failure>> => {
  const answer = await request(routePath(Routes.jobStop, { project, job }), {
    method: "POST",
    body: {},
    timeoutMs: 15_000,
  });
  return answer.ok ? { ok: true, value: undefined } : answer;
};
