/** Secrets in a simulation: users set and remove a few, jobs refer to them, and a document says which it brings. */
import { secretKey, type DesiredDocument, type JobSpec, type LogRecord, type ProjectName } from "@berth/schema";
import { decideRemoveSecret, decideSecret, secretsFor, type ClusterState } from "../src/core/index.ts";
import type { Random } from "./random.ts";

const NAMES = ["s0", "s1", "s2"];

const PROJECTS = ["sim", "lab"] as const;
const draftOf = (project: string, name: string, value: number) => ({
  ...{ project: project as ProjectName, name, encrypted: "AAAA" },
  digest: String(value).repeat(64),
});

/** Jobs find some there. */
export const firstSecrets = (state: ClusterState): LogRecord[] =>
  PROJECTS.flatMap((project) =>
    NAMES.flatMap((name) => {
      const decided = decideSecret(state, draftOf(project, name, 0), "ann");
      return decided.ok ? decided.value : [];
    }),
  );

/** Somebody sets a secret, to another value or the same, or removes one. Nothing here opens what is encrypted. */
export const secretStep = (state: ClusterState, { below, chance, pick }: Random): LogRecord[] => {
  const draft = draftOf(chance(0.7) ? "sim" : "lab", pick(NAMES) ?? "s0", below(3));
  const decided = chance(0.75)
    ? decideSecret(state, draft, "ann")
    : decideRemoveSecret(state, draft.project, draft.name, "ann");
  return decided.ok ? decided.value : [];
};

/** Most jobs want none. */
export const withSecrets = (spec: JobSpec, { chance }: Random): JobSpec => {
  const secrets = chance(0.7) ? NAMES.filter(() => chance(0.5)).map((secret) => ({ secret, file: secret })) : [];
  return secrets.length === 0 ? spec : { ...spec, secrets };
};

/**
 * A document brings the secrets of what it says shall run, and no others; and as long as it has the same revision, which is
 * what an agent goes by, the same values.
 */
export const createDocumentCheck = () => {
  const seen = new Map<string, { readonly at: string; readonly values: ReadonlyMap<string, string> }>();
  return (state: ClusterState, document: DesiredDocument): string[] => {
    const { host, epoch, rev } = document;
    const values = new Map(
      secretsFor(state, host).map((one) => [secretKey(one.project, one.name), `${one.version} ${one.digest}`]),
    );
    const wanted = document.allocations
      .filter(({ desired }) => desired === "run")
      .flatMap(({ project, spec }) =>
        (document.specs[spec]?.secrets ?? []).map(({ secret }) => secretKey(project, secret)),
      );
    const at = `${epoch} ${rev}`;
    const before = seen.get(host);
    seen.set(host, { at, values });
    return [
      ...(state.hosts.get(host)?.sealingKey === null ? [] : [...values.keys()])
        .filter((key) => !wanted.includes(key))
        .map((key) => `${host} is brought ${key}, which nothing there refers to`),
      ...wanted
        .filter((key) => !values.has(key))
        .map((key) => `${host} shall run what refers to ${key}, and is not brought it`),
      ...[...values]
        .filter(([key, value]) => before?.at === at && (before.values.get(key) ?? value) !== value)
        .map(([key]) => `${host} has two values of ${key} in revision ${rev}`),
    ];
  };
};
