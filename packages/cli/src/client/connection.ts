/**
 * Which cluster a verb talks to: flags, then environment, then what `berth up` left in the data directory. It decides the
 * address and the token and never connects.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Exit, Failure } from "../failure.ts";

export const DEFAULT_DATA_DIR = "/var/lib/berth";

export interface ConnectionOptions {
  readonly api?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly dataDir?: string;
}

export interface Connection {
  readonly api: URL;
  readonly token: string;
  /** Who signs the API's certificate (PEM); without it, whom this machine trusts anyway. */
  readonly ca?: string;
}

/** What `berth up` writes for the other verbs, readable by its user only. */
export interface ClientFile {
  readonly api: string;
  readonly token: string;
  readonly ca?: string;
}

type Env = Readonly<Record<string, string | undefined>>;

export const dataDirOf = (options: { readonly dataDir?: string }, env: Env): string =>
  options.dataDir ?? nonEmpty(env["BERTH_DATA_DIR"]) ?? DEFAULT_DATA_DIR;

export const clientFilePath = (dataDir: string): string => join(dataDir, "client.json");

const nonEmpty = (text: string | undefined): string | undefined =>
  text === undefined || text === "" ? undefined : text;

export const resolveConnection = (options: ConnectionOptions, env: Env): Connection => {
  const api = options.api ?? nonEmpty(env["BERTH_API"]);
  const token =
    options.tokenFile === undefined
      ? nonEmpty(env["BERTH_TOKEN"])
      : readText(options.tokenFile, "token", "--token-file");
  const caFile = options.caFile ?? nonEmpty(env["BERTH_CA_FILE"]);
  const ca = caFile === undefined ? {} : { ca: readText(caFile, "authority", "--ca-file and BERTH_CA_FILE") };
  if (api !== undefined && token !== undefined) return { api: apiUrl(api), token: checkToken(token), ...ca };
  const file = clientFilePath(dataDirOf(options, env));
  const found = readClientFile(file, { api, token });
  // The authority in the file is that of the address in it.
  const known = api === undefined && found.ca !== undefined ? { ca: found.ca } : {};
  return { api: apiUrl(api ?? found.api), token: checkToken(token ?? found.token), ...known, ...ca };
};

const apiUrl = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && (url.protocol === "http:" || url.protocol === "https:")) return url;
  throw new Failure(`"${text}" is not an address of an API`, {
    exit: Exit.usage,
    detail: "write it like http://127.0.0.1:8640",
    next: ["check --api and BERTH_API"],
  });
};

/** A token becomes a header: anything else in it is a wrong file, not an attack to be repaired. */
const checkToken = (token: string): string => {
  if (/^[\u0021-\u007e]{1,4096}$/.test(token)) return token;
  throw new Failure("The token cannot be used", {
    exit: Exit.usage,
    detail: "a token is one line of printable characters without blanks",
    next: ["check --token-file and BERTH_TOKEN"],
  });
};

const readText = (file: string, what: string, where: string): string => {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new Failure(`Cannot read the ${what} file ${file}`, {
      exit: Exit.notFound,
      detail: error instanceof Error ? error.message : String(error),
      next: [`check ${where}`],
      cause: error,
    });
  }
};

const readClientFile = (
  file: string,
  given: { readonly api: string | undefined; readonly token: string | undefined },
): ClientFile => {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw cannotFind(file, (error as NodeJS.ErrnoException).code ?? "", given, error);
  }
  const parsed = parseClientFile(text);
  if (parsed !== undefined) return parsed;
  throw new Failure("The cluster's address cannot be read", {
    exit: Exit.unavailable,
    detail: `${file} is damaged`,
    next: ["berth up          (writes it anew)"],
  });
};

const parseClientFile = (text: string): ClientFile | undefined => {
  try {
    const value = JSON.parse(text) as Partial<ClientFile> | null;
    if (typeof value?.api === "string" && typeof value.token === "string") {
      const { api, token, ca } = value;
      return { api, token, ...(typeof ca === "string" ? { ca } : {}) };
    }
    return undefined;
  } catch {
    return undefined;
  }
};

const cannotFind = (
  file: string,
  code: string,
  given: { readonly api: string | undefined; readonly token: string | undefined },
  cause: unknown,
): Failure => {
  if (code === "EACCES") {
    return new Failure("You may not use the cluster on this machine", {
      exit: Exit.forbidden,
      code: "auth.required",
      detail: `${file} belongs to the user who started it`,
      next: ["sudo berth …      (as that user)", "or set BERTH_API and BERTH_TOKEN"],
      cause,
    });
  }
  const missing = given.api !== undefined ? "a token: BERTH_TOKEN or --token-file" : "an address: BERTH_API or --api";
  const half = given.api !== undefined || given.token !== undefined;
  return new Failure("No cluster is known here", {
    exit: Exit.unavailable,
    code: "cluster.unreachable",
    detail: half
      ? `there is no ${file}, so it also needs ${missing}`
      : `there is no ${file}: none was started on this machine`,
    next: ["berth up          (starts a cluster on this machine)", "or set BERTH_API and BERTH_TOKEN to use another"],
    cause,
  });
};
