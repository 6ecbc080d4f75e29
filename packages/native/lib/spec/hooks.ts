/** Programs of the host that run at points of a container's life: only those that the host's policy names. */
import { entries, fields, list, optional, path, refuse, shown, text, whole, type Parse } from "./check.ts";
import { NOTHING, type Ref, type Row, type SpecBytes } from "./bytes.ts";
import type { ContainerSpec, HookPoint, SpecPolicy } from "../types.ts";

const POINTS: Readonly<Record<HookPoint, number>> = { createRuntime: 1, started: 2, stopped: 3 };
const MOST = 16;
const DEFAULT_TIMEOUT_MS = 10_000;

const hookRow =
  (point: HookPoint, policy: SpecPolicy, out: SpecBytes): Parse<Row> =>
  (field, value) => {
    const given = fields(field, value, ["command", "env", "timeoutMs"]);
    const command = list(text(4095), 1, 64)(`${field}.command`, given.command);
    const program = path(`${field}.command`, command[0]);
    if (policy.hooks?.includes(program) !== true)
      refuse(`${field}.command`, `${shown(program)} is not a hook of this host's policy`);
    const env = optional(`${field}.env`, given.env, (name, all) => entries(name, all, text(4095), 64), []);
    for (const [name] of env)
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) refuse(`${field}.env`, `${shown(name)} is not a name`);
    const timeout = optional(`${field}.timeoutMs`, given.timeoutMs, whole(1, 600_000), DEFAULT_TIMEOUT_MS);
    return [out.texts(command), out.texts(env.map(([name, one]) => `${name}=${one}`)), POINTS[point], timeout];
  };

export const encodeHooks = (spec: ContainerSpec, policy: SpecPolicy, out: SpecBytes): Ref => {
  if (spec.hooks === undefined) return NOTHING;
  const points = Object.keys(POINTS) as HookPoint[];
  const given = fields("hooks", spec.hooks, points);
  const rows = points.flatMap((point) =>
    optional(`hooks.${point}`, given[point], list(hookRow(point, policy, out), 0, MOST), []),
  );
  if (rows.length > MOST) refuse("hooks", `${rows.length} given, at most ${MOST} are possible`);
  return rows.length === 0 ? NOTHING : out.section([out.list(rows)]);
};
