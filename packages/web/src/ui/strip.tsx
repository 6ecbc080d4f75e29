/**
 * One host and one dimension as a strip: what runs there in proportion to what it reserves, how much of that it uses, and
 * what the system keeps. CPU and memory strips of a host have the same order, so a shape that fits badly is visible.
 */
import { memo } from "react";
import type { AllocationView, Dimension, HostView } from "@berth/schema";
import { segments } from "../model/capacity.ts";
import { formatAmount, plural } from "../model/format.ts";
import "./strip.css";

/** More segments than this are narrower than a pixel: the sum is drawn instead. */
const MOST_SEGMENTS = 300;
const NAMES = { cpuMillis: "CPU", memoryBytes: "Memory", pids: "Processes" } as const;
const HUES = 8;
const MOST_NAMES = 16;

const percent = (ratio: number): string => `${(ratio * 100).toFixed(3)}%`;

/** The same job has the same of eight hues everywhere and for ever. FNV-1a. */
export const hueOf = (project: string, job: string): number => {
  let hash = 0x811c9dc5;
  for (const char of `${project}/${job}`) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 0) % HUES;
};

export const stripSentence = (host: HostView, dimension: Dimension, count: number): string => {
  const amount = (value: number): string => formatAmount(dimension, value);
  const used = host.usage === null ? "" : `, ${amount(host.usage[dimension])} used`;
  const reserved = `${amount(host.reserved[dimension])} of ${amount(host.capacity.allocatable[dimension])} reserved`;
  return `${NAMES[dimension]} of ${host.id}: ${reserved} by ${plural(count, "allocation")}${used}`;
};

interface StripProps {
  readonly host: HostView;
  /** Those that hold their reservation, in the order of the strip. */
  readonly allocations: readonly AllocationView[];
  readonly dimension: Dimension;
  readonly byJob?: boolean;
  /** A small strip shows the use of the host as a whole: insets of a few pixels would be noise. */
  readonly size?: "small" | "medium" | "large";
}

/** Each allocation with its own tooltip: for the one host that somebody looks at. */
const NamedSegments = ({ host, allocations, dimension, byJob = false }: StripProps) =>
  segments(host, allocations, dimension).map(({ allocation, start, length, used }) => (
    <g key={allocation.id} data-hue={byJob ? hueOf(allocation.project, allocation.job) : undefined}>
      <title>{`${allocation.job}[${allocation.index}]: ${formatAmount(dimension, allocation.resources[dimension])} reserved`}</title>
      <rect className="strip-segment" x={percent(start)} width={percent(length)} height="100%" />
      <rect className="strip-used" x={percent(start)} y="58%" width={percent(length * used)} height="42%" />
      <rect className="strip-gap" x={percent(start + length)} width="1" height="100%" />
    </g>
  ));

const box = (start: number, length: number, top: number, height: number): string =>
  `M${(start * 1000).toFixed(2)} ${top}h${(length * 1000).toFixed(2)}v${height}h${(-length * 1000).toFixed(2)}z`;

/** The same as a few paths, one for each hue: a list of hundreds of strips stays light. */
const PlainSegments = ({ host, allocations, dimension, byJob = false, size }: StripProps) => {
  const all = segments(host, allocations, dimension);
  const hues = new Map<number | undefined, { reserved: string; used: string }>();
  for (const { allocation, start, length, used } of all) {
    const hue = byJob ? hueOf(allocation.project, allocation.job) : undefined;
    const paths = hues.get(hue) ?? { reserved: "", used: "" };
    paths.reserved += box(start, length, 0, 100);
    if (used > 0) paths.used += box(start, length * used, 58, 42);
    hues.set(hue, paths);
  }
  return (
    <svg width="100%" height="100%" viewBox="0 0 1000 100" preserveAspectRatio="none">
      {[...hues].map(([hue, paths]) => (
        <g key={String(hue)} data-hue={hue}>
          <path className="strip-segment" d={paths.reserved} />
          {size === "small" ? null : <path className="strip-used" d={paths.used} />}
        </g>
      ))}
      <path
        className="strip-gaps"
        d={all.map(({ start, length }) => `M${((start + length) * 1000).toFixed(2)} 0v100`).join("")}
      />
    </svg>
  );
};

const Segments = (props: StripProps) => {
  const { host, allocations, dimension, size } = props;
  if (allocations.length > MOST_SEGMENTS) {
    const whole = Math.max(1, host.capacity.capacity[dimension]);
    return (
      <rect className="strip-segment" width={percent(Math.min(1, host.reserved[dimension] / whole))} height="100%" />
    );
  }
  return size === "large" ? <NamedSegments {...props} /> : <PlainSegments {...props} />;
};

export const Strip = memo((props: StripProps) => {
  const { host, allocations, dimension, size = "medium" } = props;
  const whole = Math.max(1, host.capacity.capacity[dimension]);
  const system = Math.min(1, host.capacity.systemReserved[dimension] / whole);
  return (
    <svg
      className="strip"
      data-size={size}
      data-state={host.state}
      role="img"
      aria-label={stripSentence(host, dimension, allocations.length)}
    >
      <rect className="strip-track" width="100%" height="100%" />
      <Segments {...props} />
      {size !== "small" || host.usage === null ? null : (
        <rect className="strip-used" y="34%" width={percent(Math.min(1, host.usage[dimension] / whole))} height="32%" />
      )}
      {system === 0 ? null : <rect x={percent(1 - system)} width={percent(system)} height="100%" fill="url(#hatch)" />}
    </svg>
  );
});
Strip.displayName = "Strip";

/** Which colour is which job, for a strip that is drawn by job. Two jobs may share one of the eight hues. */
export const JobLegend = ({ allocations }: { readonly allocations: readonly AllocationView[] }) => {
  const jobs = [...new Map(allocations.map((each) => [`${each.project}/${each.job}`, each])).values()];
  if (jobs.length === 0) return null;
  return (
    <ul className="legend" aria-label="Jobs">
      {jobs.slice(0, MOST_NAMES).map((each) => (
        <li key={`${each.project}/${each.job}`} data-hue={hueOf(each.project, each.job)}>
          <svg width="10" height="10" aria-hidden="true">
            <rect className="job-swatch" width="10" height="10" rx="2" />
          </svg>
          {each.project}/{each.job}
        </li>
      ))}
      {jobs.length <= MOST_NAMES ? null : <li>and {jobs.length - MOST_NAMES} more</li>}
    </ul>
  );
};

/** The hatch that all strips refer to: once per page. */
export const Patterns = () => (
  <svg className="patterns" width="0" height="0" aria-hidden="true">
    <defs>
      <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect className="hatch-ground" width="6" height="6" />
        <rect className="hatch-line" width="2" height="6" />
      </pattern>
    </defs>
  </svg>
);
