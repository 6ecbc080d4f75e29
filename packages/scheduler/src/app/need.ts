/** What it takes to submit a job. */
import type { JobSpec } from "@berth/schema";
import type { Need } from "../core/index.ts";

/** A path of a host is the host's: who may give it to a container may read what lies there. */
export const needOf = ({ project, volumes }: JobSpec): Need => ({
  role: volumes.some((mount) => "source" in mount) ? "operator" : "submitter",
  project,
});
