/** The real core as a packer, as it is compiled: its state, its planEvaluations and its fold, with a log that nobody keeps. */
import type {
  AllocationId,
  Device,
  DeviceAsk,
  HostId,
  JobName,
  JobSpec,
  LogRecord,
  PlacementRules,
  ProjectName,
  Resources,
} from "@berth/schema";
import { createState, fold, planEvaluations } from "@berth/scheduler/core";

/** Between two transactions every wait before another attempt is over, so that whatever has ended wants a place again. */
const TICK_MS = 60_000;

/** How tasks end that nothing is wrong with. */
export const EXITED = {
  code: 0,
  signal: null,
  oom: false,
  cause: "exited",
  detail: null,
  startedAtMs: 0,
  finishedAtMs: 1,
} as const;

const zero: Resources = { cpuMillis: 0, memoryBytes: 0, pids: 0 };

export const jobOf = (
  name: string,
  requests: Resources,
  count: number,
  placement?: PlacementRules,
  devices: readonly DeviceAsk[] = [],
): JobSpec => ({
  ...(devices.length > 0 && { devices: [...devices] }),
  ...(placement === undefined ? {} : { placement }),
  name: name as JobName,
  project: "bench" as ProjectName,
  kind: "batch",
  image: "builtin://busybox",
  command: ["true"],
  env: {},
  workdir: "/",
  requests,
  limits: { cpuMillis: null, memoryBytes: requests.memoryBytes, pids: requests.pids },
  count,
  maxRunning: null,
  volumes: [],
  outputs: [],
  restart: { on: "never", max: null, backoffFirstMs: 1000, backoffLongestMs: 1000, retryCodes: [], fatalCodes: [] },
  runTimeoutMs: null,
  stopTimeoutMs: 1000,
});

/** `labelsOf` gives the labels of the host at this position. */
export const createBerthCell = (
  hosts: readonly Resources[],
  labelsOf: (at: number) => Readonly<Record<string, string>> = () => ({}),
  devicesOf: (at: number) => readonly Device[] = () => [],
) => {
  const state = createState();
  let sequence = 0;
  let ids = 0;
  const makeAllocationId = (): AllocationId => {
    ids += 1;
    return `alloc_${String(ids).padStart(26, "0")}` as AllocationId;
  };
  /** What the clock says; undefined: it goes on by a tick with every transaction. */
  let clockMs: number | undefined;
  const nowMs = (): number => clockMs ?? sequence * TICK_MS;
  const append = (records: LogRecord[]): void => {
    if (records.length === 0) return;
    sequence += 1;
    fold(state, sequence, { version: 2, origin: null, epoch: 0, atMs: nowMs(), cause: "bench", records });
  };
  const records = hosts.map((allocatable, at): LogRecord[] => {
    const hostId = `h${String(at).padStart(6, "0")}` as HostId;
    const text = "x";
    return [
      { kind: "host_enrolled", hostId, publicKey: `U${"A".repeat(55)}`, by: "bench" },
      {
        kind: "host_registered",
        hostId,
        session: "0123456789abcdef",
        bootId: "1",
        inventory: {
          hostname: text,
          arch: text,
          os: text,
          kernel: text,
          cpuModel: text,
          cpuCount: 1,
          memoryBytes: allocatable.memoryBytes,
          cgroupVersion: "v2",
          notEnforced: [],
          agentVersion: text,
          labels: { ...labelsOf(at) },
        },
        capacity: { capacity: allocatable, systemReserved: zero, allocatable, devices: [...devicesOf(at)] },
      },
    ];
  });
  append(records.flat());
  return {
    state,
    append,
    setClock: (toMs: number): void => {
      clockMs = toMs;
    },
    submit: (spec: JobSpec): void =>
      append([{ kind: "job_submitted", spec, jobVersion: 1, by: "bench", idempotencyKey: null, requestDigest: "" }]),
    plan: (maxPlacements: number) =>
      planEvaluations(state, { nowMs: clockMs ?? nowMs() + TICK_MS, makeAllocationId }, { maxPlacements }),
  };
};
