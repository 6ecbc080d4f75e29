/** What a daemon cannot have: it runs once on every host, so nothing is said of how many, of which host, or of data elsewhere. */
import type { DocumentErrors } from "./job-errors.ts";
import type { JobDocument } from "./job.ts";

const RULES = ["prefer", "spread", "apart", "together", "maxPerHost"] as const;

export const checkDaemon = (document: JobDocument, errors: DocumentErrors): void => {
  if (document.kind !== "daemon") return;
  const { array, command = [], disconnect, env = {}, gang, placement = {}, replicas, volumes = [] } = document;
  const onEvery = "a daemon has one task on every host that its placement.require lets it on";
  if (replicas !== undefined) errors.add("/replicas", onEvery);
  if (array !== undefined) errors.add("/array", onEvery);
  if (gang !== undefined) errors.add("/gang", `${onEvery}; none of them waits for another`);
  if (disconnect !== undefined) errors.add("/disconnect", "a daemon belongs to its host and waits for it");
  for (const rule of RULES) {
    if (placement[rule] !== undefined) errors.add(`/placement/${rule}`, `${onEvery}; say which with require`);
  }
  volumes.forEach(({ volume }, at) => {
    if (volume === undefined) return;
    errors.add(`/volumes/${at}/volume`, "is on one host of the cluster; a daemon mounts paths of its host (source)");
  });
  const counts = (text: string): boolean => text.includes("${COUNT}");
  const follows = "${COUNT} is not known: the tasks of a daemon follow the hosts";
  command.forEach((word, at) => {
    if (counts(word)) errors.add(`/command/${at}`, follows);
  });
  for (const [name, value] of Object.entries(env)) if (counts(String(value))) errors.add(`/env/${name}`, follows);
};
