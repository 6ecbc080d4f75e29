/** The columns of jobs, tasks and hosts, and the words in them. Pure text: what a person reads in a table. */
import {
  amountIn,
  formatByUnit,
  formatBytes,
  formatCpu,
  formatDuration,
  furtherInWords,
  taskName,
  type AllocationView,
  type HostView,
  type JobView,
} from "@berth/schema";
import type { Column } from "./table.ts";
import { toneOf } from "./style.ts";

export const ago = (nowMs: number, atMs: number): string => formatDuration(Math.max(0, nowMs - atMs));

/** `24 tasks: 6 running, 18 done`: only the kinds that there are. */
export const countsText = (job: JobView): string => {
  const { tasks } = job;
  const parts = (["running", "starting", "pending", "stopping", "succeeded", "failed", "stopped"] as const)
    .filter((state) => tasks[state] > 0)
    .map((state) => `${tasks[state]} ${state}`);
  return parts.join(", ");
};

export const jobColumns = (nowMs: number): Column<JobView>[] => [
  { title: "PROJECT", value: (job) => job.project, shrinkTo: 8, dropOrder: 3 },
  { title: "JOB", value: (job) => job.name, shrinkTo: 12 },
  { title: "KIND", value: (job) => job.spec.kind, dropOrder: 2 },
  { title: "STATE", value: (job) => job.state, tone: (job) => toneOf(job.state) },
  { title: "TASKS", value: countsText, shrinkTo: 12 },
  { title: "EXIT", value: (job) => (job.exitCode === null ? "" : String(job.exitCode)), align: "right" },
  { title: "SUBMITTED", value: (job) => `${ago(nowMs, job.submittedAtMs)} ago`, dropOrder: 1 },
];

export const jobWideColumns: Column<JobView>[] = [
  { title: "VERSION", value: (job) => String(job.version), align: "right" },
  { title: "BY", value: (job) => job.submittedBy },
  { title: "WAITS FOR", value: (job) => job.pendingReason ?? "" },
];

const exitText = (one: AllocationView): string => {
  if (one.exit === null) return "";
  const { code, cause } = one.exit;
  return cause === "exited" ? String(code) : `${code} (${cause})`;
};

const shownState = (one: AllocationView): string =>
  one.state !== "running"
    ? one.state
    : one.usage?.paused === true
      ? "paused"
      : one.usage?.limitsRefused === undefined
        ? one.state
        : "old limits";

export const allocationColumns = (nowMs: number): Column<AllocationView>[] => [
  { title: "PROJECT", value: (one) => one.project, shrinkTo: 8, dropOrder: 4 },
  { title: "TASK", value: (one) => taskName(one.job, one.index), shrinkTo: 14 },
  { title: "STATE", value: shownState, tone: (one) => toneOf(shownState(one)) },
  { title: "HOST", value: (one) => one.hostId, shrinkTo: 8 },
  { title: "ATTEMPT", value: (one) => String(one.attempt), align: "right", dropOrder: 3 },
  {
    title: "CPU",
    value: (one) => (one.usage === null ? "" : formatCpu(one.usage.cpuMillis)),
    align: "right",
    dropOrder: 2,
  },
  {
    title: "MEMORY",
    value: (one) => (one.usage === null ? "" : formatBytes(one.usage.memoryBytes)),
    align: "right",
    dropOrder: 2,
  },
  { title: "RAN", value: (one) => ranText(nowMs, one), align: "right", dropOrder: 1 },
  { title: "EXIT", value: exitText, shrinkTo: 6 },
];

const ranText = (nowMs: number, one: AllocationView): string => {
  const from = one.exit?.startedAtMs ?? one.startedAtMs;
  return from === null ? "" : ago(one.exit?.finishedAtMs ?? nowMs, from);
};

export const allocationWideColumns: Column<AllocationView>[] = [
  {
    title: "REASON",
    value: ({ reason, preemptedBy: by }) =>
      by === undefined ? reason : `${reason} by ${by.project}/${taskName(by.job, by.index)}`,
  },
  { title: "VERSION", value: (one) => String(one.jobVersion), align: "right" },
  { title: "ALLOCATION", value: (one) => one.id },
  { title: "DETAIL", value: (one) => one.exit?.detail ?? "" },
];

const share = (part: number, whole: number): string => (whole === 0 ? "0%" : `${Math.round((part / whole) * 100)}%`);

export const hostColumns: Column<HostView>[] = [
  { title: "HOST", value: (host) => host.id, shrinkTo: 8 },
  { title: "STATE", value: (host) => host.state, tone: (host) => toneOf(host.state) },
  { title: "TASKS", value: (host) => String(host.allocations), align: "right" },
  {
    title: "CPU RESERVED",
    value: ({ reserved, capacity: { allocatable } }) =>
      `${formatCpu(reserved.cpuMillis)} of ${formatCpu(allocatable.cpuMillis)} (${share(reserved.cpuMillis, allocatable.cpuMillis)})`,
    shrinkTo: 12,
  },
  {
    title: "USED",
    value: (host) => (host.usage === null ? "" : formatCpu(host.usage.cpuMillis)),
    align: "right",
    dropOrder: 2,
  },
  {
    title: "MEMORY RESERVED",
    value: ({ reserved, capacity: { allocatable } }) =>
      `${formatBytes(reserved.memoryBytes)} of ${formatBytes(allocatable.memoryBytes)} (${share(reserved.memoryBytes, allocatable.memoryBytes)})`,
    shrinkTo: 15,
  },
  {
    title: "USED",
    value: (host) => (host.usage === null ? "" : formatBytes(host.usage.memoryBytes)),
    align: "right",
    dropOrder: 2,
  },
  {
    title: "HEARD",
    value: (host) => (host.lastHeartbeatAgoMs === null ? "never" : `${formatDuration(host.lastHeartbeatAgoMs)} ago`),
    align: "right",
    dropOrder: 1,
  },
];

/** `network egress 200 Mbit/s of 1 Gbit/s, gpu 1 of 2`. */
const furtherReserved = ({ reserved, capacity: { allocatable } }: HostView): string => {
  const parts = Object.entries(allocatable.more ?? {}).map(([name, all]) => {
    const text = (amount: number): string => formatByUnit(name, amount) ?? String(amount);
    return `${furtherInWords(name)} ${text(amountIn(reserved.more, name))} of ${text(all)}`;
  });
  return parts.length === 0 ? "-" : parts.join(", ");
};

export const hostWideColumns: Column<HostView>[] = [
  { title: "CGROUP", value: (host) => host.inventory.cgroupVersion },
  { title: "KERNEL", value: (host) => host.inventory.kernel },
  { title: "FURTHER RESERVED", value: furtherReserved },
  { title: "CPU MODEL", value: (host) => `${host.inventory.cpuCount}x ${host.inventory.cpuModel}` },
  { title: "NOT ENFORCED", value: (host) => host.inventory.notEnforced.join("; ") },
];
