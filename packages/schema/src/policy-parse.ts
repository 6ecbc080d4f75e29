/** The policy part of a job document: defaults left out, so that equal documents make equal specs, and what contradicts itself. */
import type { DocumentErrors } from "./job-errors.ts";
import type { JobDocument, JobSpec } from "./job.ts";
import { DEFAULT_LEVEL, MAX_GANG } from "./policy.ts";

type Policy = Pick<JobSpec, "priority" | "disruption" | "gangMin">;

const priority = (document: JobDocument): Pick<Policy, "priority"> => {
  const given = document.priority;
  if (given === undefined) return {};
  const { band, level } = typeof given === "string" ? { band: given, level: DEFAULT_LEVEL } : given;
  const found = { band, level: level ?? DEFAULT_LEVEL };
  return found.band === "production" && found.level === DEFAULT_LEVEL ? {} : { priority: found };
};

const disruption = (document: JobDocument, errors: DocumentErrors): Pick<Policy, "disruption"> => {
  const { maxUnavailable, minAvailable } = document.disruption ?? {};
  if (maxUnavailable !== undefined && minAvailable !== undefined)
    errors.add("/disruption", "say maxUnavailable or minAvailable, not both");
  if (maxUnavailable !== undefined) return { disruption: { maxUnavailable } };
  return minAvailable === undefined ? {} : { disruption: { minAvailable } };
};

const gang = (document: JobDocument, errors: DocumentErrors): Pick<Policy, "gangMin"> => {
  const given = document.gang;
  if (given === undefined || given === false || document.kind === "daemon") return {};
  const tasks = (document.kind === "service" ? document.replicas : document.array?.size) ?? 1;
  const min = given === true ? tasks : given.min;
  const at = given === true ? "/gang" : "/gang/min";
  if (min > tasks) errors.add(at, `is more than the ${tasks} tasks of the job`);
  if (min > MAX_GANG)
    errors.add(
      at,
      `at most ${MAX_GANG} tasks can be placed together; say how many of the ${tasks} must be: { min: N }`,
    );
  const limit = document.array?.maxRunning;
  if (limit !== undefined && limit < min)
    errors.add("/array/maxRunning", `is less than the ${min} tasks that must run together`);
  return min > 1 ? { gangMin: min } : {};
};

export const policyOf = (document: JobDocument, errors: DocumentErrors): Policy => ({
  ...priority(document),
  ...disruption(document, errors),
  ...gang(document, errors),
});
