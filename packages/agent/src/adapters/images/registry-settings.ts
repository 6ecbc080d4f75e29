/**
 * What an operator says about registries: `registries.json` in the data directory, read again whenever it changes. Holds
 * no secret itself: passwords lie in files of their own or come from a credential helper (the protocol of
 * docker-credential-helpers: `docker-credential-NAME get`, the registry on stdin, JSON back).
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { Type, type Static, decoder, isLoopback } from "@berth/schema";
import { openSettingsFile } from "../files/settings-file.ts";

const path = Type.String({ pattern: "^/", maxLength: 4096 });
const strict = { additionalProperties: false } as const;
const SettingsSchema = Type.Record(
  Type.String({ pattern: "^[a-z0-9.:\\[\\]-]{1,255}$" }),
  Type.Object(
    {
      plainHttp: Type.Optional(Type.Boolean()),
      mirrors: Type.Optional(Type.Array(Type.String({ pattern: "^[a-z0-9.:\\[\\]-]{1,255}$" }), { maxItems: 16 })),
      caFile: Type.Optional(path),
      username: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
      passwordFile: Type.Optional(path),
      credentialHelper: Type.Optional(Type.String({ pattern: "^[a-z0-9][a-z0-9-]{0,62}$" })),
    },
    strict,
  ),
  strict,
);
type Settings = Static<typeof SettingsSchema>;
const decode = decoder(SettingsSchema);

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Everything that is needed to talk to one registry host. */
export interface RegistryAccess {
  readonly plainHttp: boolean;
  /** Hosts to ask first, in their order; the registry itself comes last and is not among them. */
  readonly mirrors: readonly string[];
  /** PEM, beside the system's own. */
  readonly ca: string | undefined;
  readonly credentials: () => Promise<Credentials | undefined>;
}

export interface RegistrySettings {
  /** Rejects with a sentence that names the file and what is wrong in it. */
  readonly accessTo: (registry: string) => Promise<RegistryAccess>;
}

const HELPER_TIMEOUT_MS = 20_000;

const askHelper = (name: string, registry: string): Promise<Credentials> =>
  new Promise((resolve, reject) => {
    const program = `docker-credential-${name}`;
    const child = execFile(program, ["get"], { timeout: HELPER_TIMEOUT_MS, maxBuffer: 65_536 }, (error, stdout) => {
      /* Its output may hold the secret: it is not repeated. */
      if (error !== null) return reject(new Error(`${program} failed for ${registry}`, { cause: error.code }));
      try {
        const { Username, Secret } = JSON.parse(stdout) as { Username: unknown; Secret: unknown };
        if (typeof Username === "string" && typeof Secret === "string") {
          return resolve({ username: Username, password: Secret });
        }
      } catch {
        /* Told below. */
      }
      return reject(new Error(`${program} did not answer with Username and Secret`));
    });
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(`${registry}\n`);
  });

export const openRegistrySettings = (file: string): RegistrySettings => {
  const settings = openSettingsFile<Settings, Settings>({ file, decode, settingsOf: (given) => given, absent: {} });
  return {
    accessTo: async (registry) => {
      const own = (await settings())[registry] ?? {};
      return {
        plainHttp: own.plainHttp ?? isLoopback(registry),
        mirrors: own.mirrors ?? [],
        ca: own.caFile === undefined ? undefined : await readFile(own.caFile, "utf8"),
        credentials: async () => {
          if (own.credentialHelper !== undefined) return askHelper(own.credentialHelper, registry);
          if (own.username === undefined || own.passwordFile === undefined) return undefined;
          const password = (await readFile(own.passwordFile, "utf8")).replace(/\r?\n$/, "");
          return { username: own.username, password };
        },
      };
    },
  };
};
