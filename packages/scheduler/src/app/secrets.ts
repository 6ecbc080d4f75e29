/** Secrets as the API has them: set, listed without their values, removed; and sealed for the hosts that are to have them. */
import { LRUCache } from "lru-cache";
import {
  err,
  MAX_SECRET_BYTES,
  ok,
  problem,
  secretKey,
  type HostId,
  type Origin,
  type Problem,
  type ProjectName,
  type Result,
  type Sealed,
  type SecretList,
  type SecretRemoved,
  type SecretView,
} from "@berth/schema";
import {
  decideRemoveSecret,
  decideSecret,
  secretsFor,
  secretViews,
  type ClusterState,
  type SecretDraft,
} from "../core/index.ts";
import type { Vault } from "../ports/vault.ts";
import type { Engine } from "./engine.ts";
import { writeRecords } from "./write.ts";

type Answer<T> = Promise<Result<T, Problem>>;

export interface Secrets {
  /** Where the value came in: from here on it is nowhere in clear. */
  readonly encryptSecret: (project: ProjectName, name: string, value: string) => Result<SecretDraft, Problem>;
  readonly setSecret: (draft: SecretDraft, origin: Origin) => Answer<SecretView>;
  readonly removeSecret: (project: ProjectName, name: string, origin: Origin) => Answer<SecretRemoved>;
  readonly secrets: (project: ProjectName) => SecretList;
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export const createSecrets = ({ engine, vault }: { readonly engine: Engine; readonly vault: Vault }): Secrets => {
  const { state } = engine;
  return {
    encryptSecret: (project, name, value) => {
      const bytes = Buffer.from(value, "base64");
      const wrong = !BASE64.test(value)
        ? "is not base64"
        : bytes.length === 0
          ? "is empty"
          : bytes.length > MAX_SECRET_BYTES
            ? `has ${bytes.length} bytes, and a secret at most ${MAX_SECRET_BYTES}; put large data into a volume`
            : undefined;
      if (wrong !== undefined) {
        const errors = [{ pointer: "/value", message: wrong }];
        return err(problem("request.invalid", `body/value: ${wrong}`, { errors }));
      }
      return ok({ project, name, ...vault.encrypt(secretKey(project, name), bytes) });
    },
    setSecret: async (draft, origin) => {
      const { name, project } = draft;
      const need = { role: "submitter", project } as const;
      const done = await writeRecords(engine, "secret", origin, need, (now) => decideSecret(now, draft, origin.who));
      if (!done.ok) return done;
      const view = secretViews(state, project).find((one) => one.name === name);
      return view === undefined ? err(problem("secret.not_found", `${name} was removed at once`)) : ok(view);
    },
    removeSecret: async (project, name, origin) => {
      const need = { role: "submitter", project } as const;
      const done = await writeRecords(engine, "secret removal", origin, need, (now) =>
        decideRemoveSecret(now, project, name, origin.who),
      );
      return done.ok ? ok({ project, name, revision: done.value }) : done;
    },
    secrets: (project) => ({ items: secretViews(state, project), revision: state.revision }),
  };
};

/**
 * Of a desired document, which is one message of the bus: without a bound the secrets of one project could keep all others
 * from reaching a host. A box is a third longer than its secret.
 */
export const MAX_SEALED_BYTES = 384 * 1024;

/** What was sealed for hosts, so that a document that changes otherwise costs no key exchange for each secret in it. */
const SEALED_BYTES_KEPT = 32 * 2 ** 20;

/**
 * Seals for a host the secrets of the tasks that came first, as far as a document has room. `leftOut` is told of the others,
 * whose tasks will say that they were sent none, and of values that the key of this cluster does not open.
 */
export const createSealer = (vault: Vault, leftOut: (host: HostId, key: string, error: unknown) => void) => {
  const kept = new LRUCache<string, Sealed>({
    maxSize: SEALED_BYTES_KEPT,
    sizeCalculation: ({ box }, about) => box.length + about.length,
  });
  return (state: ClusterState, host: HostId): { readonly secrets?: Record<string, Sealed> } => {
    const sealingKey = state.hosts.get(host)?.sealingKey ?? null;
    if (sealingKey === null) return {};
    const secrets: Record<string, Sealed> = {};
    let bytes = 0;
    for (const { project, name, encrypted, digest } of secretsFor(state, host)) {
      const key = secretKey(project, name);
      if (bytes + encrypted.length > MAX_SEALED_BYTES) {
        leftOut(host, key, `the secrets of this host have more than ${MAX_SEALED_BYTES} bytes`);
        continue;
      }
      try {
        const about = [host, sealingKey, key, digest].join(" ");
        const sealed = kept.get(about) ?? vault.seal({ host, sealingKey }, key, vault.decrypt(key, encrypted));
        kept.set(about, sealed);
        secrets[key] = sealed;
        bytes += encrypted.length;
      } catch (error) {
        leftOut(host, key, error);
      }
    }
    return Object.keys(secrets).length === 0 ? {} : { secrets };
  };
};
