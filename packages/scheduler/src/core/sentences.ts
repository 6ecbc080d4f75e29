/** Outcomes as sentences for people. The CLI and the dashboard print them unchanged. */
import {
  absurd,
  formatBytes,
  formatCpu,
  formatDuration,
  type AnyDimension,
  type Hold,
  type HostRejection,
} from "@berth/schema";

const DIMENSION_NAMES: Readonly<Record<AnyDimension, string>> = {
  cpuMillis: "cpu",
  memoryBytes: "memory",
  diskBytes: "disk",
};

export const dimensionName = (dimension: AnyDimension): string =>
  Object.hasOwn(DIMENSION_NAMES, dimension) ? (DIMENSION_NAMES[dimension] ?? dimension) : dimension;

/** `512 MiB`, `1.5 CPUs`, `64 pids`. */
export const formatAmount = (dimension: AnyDimension, amount: number): string => {
  if (dimension === "cpuMillis") return amount === 1000 ? "1 CPU" : `${formatCpu(amount)} CPUs`;
  if (dimension === "pids") return amount === 1 ? "1 pid" : `${amount} pids`;
  return dimension.endsWith("Bytes") ? formatBytes(amount) : `${amount} ${dimension}`;
};

/** How many hosts a sentence names before it counts the rest. */
const NAMED_HOSTS = 5;

/** `h1 lacks memory (512 MiB short)`. */
export const rejectionPhrase = (refused: HostRejection): string => {
  if ("rule" in refused) {
    if (refused.reason === "volume") return `${refused.hostId} cannot mount the ${refused.rule} (${refused.actual})`;
    return `${refused.hostId} is against the rule "${refused.rule}" (${refused.actual})`;
  }
  if (!("dimension" in refused)) return `${refused.hostId} is ${refused.reason}`;
  const amount = formatAmount(refused.dimension, refused.short);
  if (refused.reason === "too_small") {
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

export const holdSentence = (subject: string, hold: Hold, nowMs: number): string => {
  switch (hold.kind) {
    case "max_running":
      return `${subject} waits for its turn: ${hold.running} of at most ${hold.limit} tasks of its job hold a place`;
    case "backoff":
      return `${subject} is tried again in ${formatDuration(Math.max(0, hold.untilMs - nowMs))}, as attempt ${hold.attempt}`;
    case "previous_stopping":
      return `${subject} starts when its previous allocation has ended`;
    default:
      return absurd(hold);
  }
};
