/** Where what a container wrote lies: as the history has it, or, of one that it has forgotten, as the host does that keeps it. */
import type { FastifyRequest } from "fastify";
import type { AllocationId, HostId, JobName, ProjectName } from "@berth/schema";
import type { Control } from "../../app/control.ts";
import { refusalOf, seesProject } from "../../core/index.ts";
import { principalOf } from "./auth.ts";
import { Refusal } from "./problems.ts";

export interface WrittenPlace {
  readonly host: HostId;
  readonly project: ProjectName;
  readonly job: JobName;
  readonly index: number;
}

/** Asks for the right to change it, where nobody could before it was known whose it is. */
export const writtenPlace = async (
  { api, layers }: Pick<Control, "api" | "layers">,
  request: FastifyRequest,
  id: AllocationId,
): Promise<WrittenPlace> => {
  const known = api.allocation(id);
  if (known.ok) {
    const { hostId: host, index, job, project } = known.value;
    return { host, project, job, index };
  }
  const who = principalOf(request);
  const found = await layers.find(id);
  // What one may not see is not there.
  if (found === undefined || !seesProject(who, found.layer.project)) throw new Refusal(known.error);
  const { index, job, project } = found.layer;
  const refused = refusalOf(who, { role: "submitter", project });
  if (refused !== undefined) throw new Refusal(refused);
  return { host: found.host, project, job, index };
};
