/** The secrets of a job document, as a spec keeps them: every use says where its value goes, and no two say the same. */
import type { DocumentErrors } from "./job-errors.ts";
import type { JobDocument, JobSpec } from "./job.ts";

/** Berth's own say of the task wins over all variables. */
const OWN = /^BERTH_/;
/** No key of a plain object, which a host keeps names and values in. */
const NO_NAME = "__proto__";

export const secretsOf = (document: JobDocument, errors: DocumentErrors): Pick<JobSpec, "secrets"> => {
  const { secrets = [], env = {} } = document;
  const files = new Map<string, number>();
  const variables = new Map<string, number>();
  const once = (taken: Map<string, number>, name: string | undefined, at: number, field: "env" | "file"): void => {
    if (name === undefined) return;
    const former = taken.get(name);
    if (former !== undefined) errors.add(`/secrets/${at}/${field}`, `"${name}" is used twice, see /secrets/${former}`);
    taken.set(name, at);
  };
  const uses = secrets.map(({ secret, env: variable, file: given }, at) => {
    const file = given ?? (variable === undefined ? secret : undefined);
    once(files, file, at, "file");
    once(variables, variable, at, "env");
    if (variable !== undefined && Object.hasOwn(env, variable))
      errors.add(`/secrets/${at}/env`, `"${variable}" has a value in /env already`);
    if (variable === NO_NAME || (variable !== undefined && OWN.test(variable)))
      errors.add(`/secrets/${at}/env`, `"${variable}" is not a possible name`);
    if (file === NO_NAME) errors.add(`/secrets/${at}/file`, `"${file}" is not a possible name`);
    return {
      secret,
      ...(variable !== undefined && { env: variable }),
      ...(file !== undefined && { file }),
    };
  });
  return uses.length === 0 ? {} : { secrets: uses };
};
