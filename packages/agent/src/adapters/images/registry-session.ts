/**
 * HTTP with one registry host: TLS, credentials, tokens, time limits. Decides how to ask, never what for. A loopback
 * registry may speak plain HTTP; any other only when the operator says so, and credentials never leave over plain HTTP to
 * a host that was not named for it.
 */
import { Readable } from "node:stream";
import { Agent, interceptors, request, type Dispatcher } from "undici";
import { parseChallenges, type Challenge } from "../../core/images/challenge.ts";
import { isLoopback } from "@berth/schema";
import type { RegistryAccess } from "./registry-settings.ts";

const HEADERS_TIMEOUT_MS = 30_000;
/** Between two pieces of a body: a registry that dies in the middle shows after this. */
const BODY_TIMEOUT_MS = 30_000;
const MAX_REDIRECTS = 5;
const MAX_TOKEN_BYTES = 65_536;

/** A sentence for people, and whether asking again may help. */
export class RegistryFailure extends Error {
  override readonly name = "RegistryFailure";
  readonly retry: boolean;
  constructor(message: string, retry: boolean, options?: ErrorOptions) {
    super(message, options);
    this.retry = retry;
  }
}

export type Answer = Dispatcher.ResponseData;

/** Reads a body that must be small. */
export const readSmall = async (answer: Answer, most: number, what: string): Promise<Uint8Array> => {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body as AsyncIterable<Uint8Array>) {
    size += part.length;
    if (size > most) throw new RegistryFailure(`${what} has more than ${most} bytes`, false);
    parts.push(part);
  }
  return Buffer.concat(parts);
};

export class RegistrySession {
  readonly #host: string;
  readonly #access: RegistryAccess;
  readonly #dispatcher: Dispatcher;
  readonly #agent: Agent;
  readonly #rights: "pull" | "pull,push";
  #authorization = new Map<string, string>();

  constructor(host: string, access: RegistryAccess, purpose: "pull" | "push" = "pull") {
    this.#host = host;
    this.#access = access;
    this.#rights = purpose === "push" ? "pull,push" : "pull";
    this.#agent = new Agent({
      headersTimeout: HEADERS_TIMEOUT_MS,
      bodyTimeout: BODY_TIMEOUT_MS,
      connections: 8,
      ...(access.ca === undefined ? {} : { connect: { ca: access.ca } }),
    });
    /* Drops the authorization when a redirect leaves the origin: blobs often lie with a third party. */
    this.#dispatcher = this.#agent.compose(interceptors.redirect({ maxRedirections: MAX_REDIRECTS }));
  }

  /** GET of `path` below /v2/. The body must be read or dumped. */
  get(
    repository: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Answer> {
    return this.ask("GET", repository, path, headers, signal);
  }

  /** 401 is answered once with what the registry asks for. */
  async ask(
    method: "GET" | "HEAD" | "POST" | "PUT",
    repository: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    body?: Uint8Array,
  ): Promise<Answer> {
    const url = `${this.#origin()}/v2/${repository}/${path}`;
    const first = await this.#send(method, repository, url, headers, signal, body);
    if (first.statusCode !== 401) return first;
    await first.body.dump();
    const authorization = await this.#authorize(repository, first, signal);
    this.#authorization.set(repository, authorization);
    const second = await this.#send(method, repository, url, headers, signal, body);
    if (second.statusCode !== 401 && second.statusCode !== 403) return second;
    await second.body.dump();
    this.#authorization.delete(repository);
    const deed = this.#rights === "pull" ? "read" : "write";
    throw new RegistryFailure(
      `${this.#host} does not let this host ${deed} ${repository} (${second.statusCode})`,
      false,
    );
  }

  /** PUT to the place that the registry gave for an upload. That place stays at the registry: credentials go with it. */
  async upload(
    repository: string,
    location: string,
    digest: string,
    headers: Readonly<Record<string, string>>,
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<Answer> {
    const url = URL.parse(location, this.#origin());
    if (url === null || url.origin !== new URL(this.#origin()).origin) {
      throw new RegistryFailure(`${this.#host} wants uploads sent to ${url?.origin ?? "nowhere"}`, false);
    }
    url.searchParams.set("digest", digest);
    return this.#send("PUT", repository, url.href, headers, signal, body);
  }

  /** Hosts to ask before this one. */
  get mirrors(): readonly string[] {
    return this.#access.mirrors;
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }

  #origin(): string {
    return `${this.#access.plainHttp ? "http" : "https"}://${this.#host}`;
  }

  #send(
    method: "GET" | "HEAD" | "POST" | "PUT",
    repository: string,
    url: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    body?: Uint8Array | AsyncIterable<Uint8Array>,
  ): Promise<Answer> {
    const authorization = this.#authorization.get(repository);
    const all = { ...headers, ...(authorization === undefined ? {} : { authorization }) };
    return this.#request(url, all, signal, method, body);
  }

  async #request(
    url: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    method: "GET" | "HEAD" | "POST" | "PUT" = "GET",
    body?: Uint8Array | AsyncIterable<Uint8Array>,
  ): Promise<Answer> {
    try {
      const given = body === undefined ? {} : { body: body instanceof Uint8Array ? body : Readable.from(body) };
      return await request(url, { dispatcher: this.#dispatcher, method, headers, signal, ...given });
    } catch (cause) {
      if (signal.aborted) throw cause;
      const said = cause instanceof Error ? cause.message : String(cause);
      const hint = /wrong version number|packet length/i.test(said)
        ? "; it seems to speak plain HTTP, which registries.json must allow"
        : "";
      throw new RegistryFailure(`${this.#host} cannot be reached: ${said}${hint}`, true, { cause });
    }
  }

  async #authorize(repository: string, refused: Answer, signal: AbortSignal): Promise<string> {
    const header = refused.headers["www-authenticate"];
    const challenges = parseChallenges(Array.isArray(header) ? header.join(", ") : (header ?? ""));
    const credentials = await this.#access.credentials();
    const basic =
      credentials === undefined
        ? undefined
        : `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}`;
    const bearer = challenges.find((one) => one.scheme === "bearer");
    if (bearer !== undefined) return this.#token(repository, bearer, basic, signal);
    if (challenges.some((one) => one.scheme === "basic") && basic !== undefined) return basic;
    throw new RegistryFailure(`${this.#host} asks for credentials and none are set for it in registries.json`, false);
  }

  async #token(
    repository: string,
    { parameters }: Challenge,
    basic: string | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    const realm = URL.parse(parameters["realm"] ?? "");
    if (realm === null) throw new RegistryFailure(`${this.#host} names no token service`, false);
    const plain = realm.protocol === "http:" && (this.#access.plainHttp || isLoopback(realm.host));
    if (realm.protocol !== "https:" && !plain) {
      throw new RegistryFailure(`${this.#host} sends its users to ${realm.origin}, which is not safe to ask`, false);
    }
    if (parameters["service"] !== undefined) realm.searchParams.set("service", parameters["service"]);
    realm.searchParams.set("scope", parameters["scope"] ?? `repository:${repository}:${this.#rights}`);
    const answer = await this.#request(realm.href, basic === undefined ? {} : { authorization: basic }, signal);
    const body = await readSmall(answer, MAX_TOKEN_BYTES, `the token of ${realm.host}`);
    if (answer.statusCode !== 200) {
      const retry = answer.statusCode >= 500;
      throw new RegistryFailure(`${realm.host} gives no token for ${repository} (${answer.statusCode})`, retry);
    }
    const token = tokenOf(body);
    if (token === undefined) throw new RegistryFailure(`${realm.host} answered without a token`, false);
    return `Bearer ${token}`;
  }
}

const tokenOf = (body: Uint8Array): string | undefined => {
  try {
    const value = JSON.parse(Buffer.from(body).toString("utf8")) as { token?: unknown; access_token?: unknown };
    const token = value.token ?? value.access_token;
    return typeof token === "string" && /^[\x21-\x7e]+$/.test(token) ? token : undefined;
  } catch {
    return undefined;
  }
};
