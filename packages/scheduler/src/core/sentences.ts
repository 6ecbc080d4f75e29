/** Outcomes as sentences for people. The CLI and the dashboard print them unchanged. */
import {
  absurd,
  formatByUnit,
  formatBytes,
  formatCpu,
  formatDuration,
  furtherInWords,
  NETWORK,
  PORTS,
  type AnyDimension,
  type Hold,
  type HostRejection,
  type ImageStart,
  type Outcome,
  taskName,
  type Victim,
} from "@berth/schema";
import type { Chosen } from "./tentative.ts";

export const dimensionName = (dimension: AnyDimension): string => {
  if (dimension === "cpuMillis") return "cpu";
  return dimension === "memoryBytes" ? "memory" : furtherInWords(dimension);
};

/** `512 MiB`, `1.5 CPUs`, `64 pids`. */
export const formatAmount = (dimension: AnyDimension, amount: number): string => {
  if (dimension === "cpuMillis") return amount === 1000 ? "1 CPU" : `${formatCpu(amount)} CPUs`;
  if (dimension === "pids") return amount === 1 ? "1 pid" : `${amount} pids`;
  if (dimension === PORTS) return amount === 1 ? "1 port" : `${amount} ports`;
  return formatByUnit(dimension, amount) ?? `${amount} ${dimension}`;
};

/** `3 tasks`, or what tasks request together: `16 CPUs`, `64 GiB memory`. */
export const quotaAmount = (dimension: AnyDimension, amount: number): string => {
  if (dimension === "tasks") return amount === 1 ? "1 task" : `${amount} tasks`;
  const text = formatAmount(dimension, amount);
  return formatByUnit(dimension, amount) === undefined ? text : `${text} ${dimensionName(dimension)}`;
};

const isNetwork = (dimension: AnyDimension): boolean => Object.values<string>(NETWORK).includes(dimension);

/** How many hosts a sentence names before it counts the rest. */
const NAMED_HOSTS = 5;

/** `h1 lacks memory (512 MiB short)`. */
export const rejectionPhrase = (refused: HostRejection): string => {
  if ("rule" in refused) {
    if (refused.reason === "volume") return `${refused.hostId} cannot mount the ${refused.rule} (${refused.actual})`;
    if (refused.reason === "uncounted")
      return `${refused.hostId} cannot be booked for ${refused.rule} (${refused.actual})`;
    if (refused.reason === "port") return `${refused.rule} of ${refused.hostId} ${refused.actual}`;
    return `${refused.hostId} is against the rule "${refused.rule}" (${refused.actual})`;
  }
  if (refused.reason === "kept") return `${refused.hostId} is kept for ${refused.keptFor}`;
  if (!("dimension" in refused)) return `${refused.hostId} is ${refused.reason}`;
  const amount = formatAmount(refused.dimension, refused.short);
  if (refused.reason === "too_small") {
    if (refused.free === 0 && isNetwork(refused.dimension))
      return `${refused.hostId} has no ${dimensionName(refused.dimension)} (where the kernel tells no speed of its link, its agent's --network does)`;
    return `${refused.hostId} is too small (${dimensionName(refused.dimension)}: ${amount} more than it has in all)`;
  }
  return `${refused.hostId} lacks ${dimensionName(refused.dimension)} (${amount} short)`;
};

/** `0 of 3 hosts can take media/thumbs[17]: h1 lacks memory (512 MiB short), h2 is lost, …`. */
export const blockedSentence = (subject: string, hosts: readonly HostRejection[]): string => {
  if (hosts.length === 0) return `no host can take ${subject}: none has registered yet`;
  const named = hosts.slice(0, NAMED_HOSTS).map(rejectionPhrase);
  const rest = hosts.length - named.length;
  const more = rest > 0 ? [`${rest} more ${rest === 1 ? "host" : "hosts"} likewise cannot`] : [];
  return `0 of ${hosts.length} ${hosts.length === 1 ? "host" : "hosts"} can take ${subject}: ${[...named, ...more].join(", ")}`;
};

/** `media/encode[3] would be placed on h1, where media/thumbs[1] (batch) would be stopped for it`. */
export const preemptsSentence = (subject: string, hostId: string, victims: readonly Victim[]): string => {
  const named = victims
    .slice(0, NAMED_HOSTS)
    .map(({ project, job, index, priority }) => `${project}/${taskName(job, index)} (${priority})`);
  const rest = victims.length - named.length;
  if (named.length === 0)
    return `${subject} would be placed on ${hostId} as soon as what is being stopped there has ended`;
  const others = rest > 0 ? ` and ${rest} more` : "";
  return `${subject} would be placed on ${hostId}, where ${named.join(", ")}${others} would be stopped for it`;
};

export const holdSentence = (subject: string, hold: Hold, nowMs: number): string => {
  switch (hold.kind) {
    case "quota": {
      const { dimension, limit, project, requested, short, used } = hold;
      const asks = `it needs ${quotaAmount(dimension, requested)}`;
      if (requested > limit) {
        return `${subject} waits until the quota of project ${project} is raised: ${asks}, and the whole project may hold ${quotaAmount(dimension, limit)}`;
      }
      const holds = `the project holds ${quotaAmount(dimension, used)} of ${quotaAmount(dimension, limit)}`;
      return `${subject} waits for the quota of project ${project}: ${holds}, ${asks} (${dimension === "tasks" ? quotaAmount(dimension, short) : formatAmount(dimension, short)} short)`;
    }
    case "max_running":
      return `${subject} waits for its turn: ${hold.running} of at most ${hold.limit} tasks of its job hold a place`;
    case "backoff":
      return `${subject} is tried again in ${formatDuration(Math.max(0, hold.untilMs - nowMs))}, as attempt ${hold.attempt}`;
    case "previous_stopping":
      return `${subject} starts when its previous allocation has ended`;
    case "room_reserved":
      return hold.waitsFor === 0
        ? `${subject} has its room on ${hold.hostId}, and starts with the rest of its gang`
        : `${subject} has its room on ${hold.hostId}, where ${hold.waitsFor === 1 ? "1 other has" : `${hold.waitsFor} others have`} to end first`;
    case "gang":
      return `${subject} is one of a gang that needs ${hold.needed} tasks at once, and there is room for ${hold.able}`;
    case "backfill": {
      const until =
        hold.untilMs === null ? "" : `, in ${formatDuration(Math.max(0, hold.untilMs - nowMs))} at the latest`;
      return `${subject} would fit on ${hold.hostId}, which is kept for ${hold.keptFor}${until}`;
    }
    default:
      return absurd(hold);
  }
};

/** What becomes of a task, for programs and for people. */
export interface Explained {
  readonly sentence: string;
  readonly outcome: Outcome;
}

/** It has to wait for something that is not room. */
export const heldBy = (subject: string, hold: Hold, nowMs = 0): Explained => ({
  sentence: holdSentence(subject, hold, nowMs),
  outcome: { kind: "held", hold },
});

/** Where the image comes from that a task would start from there, and how long that takes; empty when nobody knows. */
const startPhrase = (start: ImageStart | undefined): string => {
  if (start === undefined) return "";
  const { fetchBytes, from, startMs } = start;
  if (fetchBytes === 0) return ", which has its image";
  const soon =
    startMs === null ? "" : `, about ${formatDuration(Math.max(1_000, Math.round(startMs / 1_000) * 1_000))}`;
  return from === "cluster"
    ? `, which fetches ${formatBytes(fetchBytes)} of its image from another host first${soon}`
    : `, which pulls ${formatBytes(fetchBytes)} of its image first${soon}`;
};

/** Of a task that would be placed. */
export const explainChosen = (
  subject: string,
  { hostId, image, runnersUp, score }: Pick<Chosen, "hostId" | "image" | "runnersUp" | "score">,
): Explained => ({
  sentence: `${subject} would be placed on ${hostId}${startPhrase(image)}`,
  outcome: {
    ...{ kind: "placed", hostId, score, runnersUp: [...runnersUp] },
    ...(image !== undefined && { image }),
  },
});
