/** How long a container may run without being told that it may go on. */
import type { ContainerSpec } from "../types.ts";
import { NOTHING, u64, type Ref, type SpecBytes } from "./bytes.ts";
import { fields, whole } from "./check.ts";

const MAX_UNTIL_MS = 2 ** 43;

export const encodeLease = (spec: ContainerSpec, out: SpecBytes): Ref => {
  if (spec.lease === undefined) return NOTHING;
  const { untilMs, graceMs } = fields("lease", spec.lease, ["untilMs", "graceMs"]);
  return out.section([
    u64(whole(0, MAX_UNTIL_MS)("lease.untilMs", untilMs)),
    whole(0, 0xffff_ffff)("lease.graceMs", graceMs),
    0,
  ]);
};
