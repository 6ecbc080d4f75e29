/** What the scheduler decided about a task, in words: the same document that the API gives to `plan` and `why`. */
import {
  absurd,
  formatByUnit,
  formatBytes,
  formatCpu,
  formatDuration,
  furtherInWords,
  taskName,
  type AnyDimension,
  type Candidate,
  type HostRejection,
  type Outcome,
  type QueuePlace,
  type ScoreBreakdown,
  type UnblockHint,
  type Why,
} from "@berth/schema";

export const amount = (dimension: AnyDimension, value: number): string => {
  switch (dimension) {
    case "cpuMillis":
      return `${formatCpu(value)} CPU`;
    case "memoryBytes":
      return `${formatBytes(value)} memory`;
    case "pids":
      return `${value} processes`;
    default:
      return `${formatByUnit(dimension, value) ?? value} ${furtherInWords(dimension).replace(/(Bytes|Bits)$/u, "")}`;
  }
};

const rejection = (one: HostRejection): string => {
  switch (one.reason) {
    case "cordoned":
    case "draining":
    case "disconnected":
    case "lost":
      return `${one.hostId}: ${one.reason}`;
    case "exhausted":
      return `${one.hostId}: ${amount(one.dimension, one.free)} free, ${amount(one.dimension, one.short)} short`;
    case "too_small":
      return `${one.hostId}: too small even when empty, ${amount(one.dimension, one.short)} short`;
    case "kept":
      return `${one.hostId}: kept for ${one.keptFor}${one.untilMs === null ? "" : ` until ${new Date(one.untilMs).toISOString()}`}`;
    default:
      return `${one.hostId}: against the rule "${one.rule}", ${one.actual}`;
  }
};

const hint = (one: UnblockHint): string => {
  switch (one.kind) {
    case "free_resources":
      return `${amount(one.dimension, one.short)} becoming free on ${one.hostId}`;
    case "reduce_request":
      return `a request of at most ${amount(one.dimension, one.to)}`;
    case "relax_rule":
      return `giving up the rule "${one.rule}", which alone stands against ${one.hosts} ${one.hosts === 1 ? "host" : "hosts"} with room`;
    case "wait":
      return `the end of what runs on ${one.hostId}, at ${new Date(one.untilMs).toISOString()} at the latest`;
    case "relax_disruption":
      return `a disruption budget of ${one.job} that lets ${one.more} more be stopped`;
    case "raise_priority":
      return `a priority above ${one.above}, for which ${one.victims === 1 ? "1 task" : `${one.victims} tasks`} would be stopped`;
    case "add_host":
      return "another host";
    default:
      return absurd(one);
  }
};

export const score = (breakdown: ScoreBreakdown): string => {
  const parts = breakdown.parts.map((part) => `${part.name} ${part.value.toFixed(3)} × ${part.weight}`).join(", ");
  return `${breakdown.total.toFixed(3)}${parts === "" ? "" : ` (${parts})`}`;
};

/** One line that says where a task goes or why not, for a table. */
export const outcomeState = (outcome: Outcome): string => {
  switch (outcome.kind) {
    case "placed":
      return "placed";
    case "blocked":
      return "blocked";
    case "held":
      return "waits";
    case "preempts":
      return "preempts";
    case "finished":
      return outcome.result;
  }
};

/** The evidence behind the sentence, indented. Empty when the sentence says it all. */
export const evidence = (outcome: Outcome): string[] => {
  switch (outcome.kind) {
    case "placed":
      return [
        `score on ${outcome.hostId}: ${score(outcome.score)}`,
        ...outcome.runnersUp.map((one) => `      on ${one.hostId}: ${score(one.score)}`),
      ];
    case "blocked":
      return [
        ...outcome.hosts.map(rejection),
        ...(outcome.unblockedBy.length === 0 ? [] : [`would help: ${outcome.unblockedBy.map(hint).join("; or ")}`]),
      ];
    case "preempts":
      return outcome.victims.map(
        ({ project, job, index, priority }) =>
          `stops ${project}/${taskName(job, index)} (${priority}) on ${outcome.hostId}`,
      );
    case "held":
    case "finished":
      return [];
  }
};

/** Where a task that is placed could be now, best first: one line a host. */
export const nowLines = (now: readonly Candidate[]): string[] =>
  now.map((one) => `now on ${one.hostId}: ${score(one.score)}`);

const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

/** Where a waiting task's job stands in the queue, as one line. */
export const queueLine = ({ position, of, priority, risen, waitedMs, share, recentShare }: QueuePlace): string => {
  const rise = risen === 0 ? "" : `, risen by ${risen === 1 ? "1 band" : `${risen} bands`} in waiting`;
  return (
    `queue: ${position} of ${of} jobs, ${priority}${rise}, waits ${formatDuration(waitedMs)}; ` +
    `its project holds ${percent(share)} of the cluster, ${percent(recentShare)} lately`
  );
};

/** Of a daemon: where none of it is. */
export const lackingLines = (lacking: Why["lacking"]): string[] => {
  if (lacking === undefined || lacking.total === 0) return [];
  const { hosts, total } = lacking;
  const rest = total - hosts.length;
  return [
    `not on ${total === 1 ? "1 host" : `${total} hosts`}:`,
    ...hosts.map(({ hostId, sentence }) => `  ${hostId}: ${sentence}`),
    ...(rest > 0 ? [`  … and ${rest} more`] : []),
  ];
};
