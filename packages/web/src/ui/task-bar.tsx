/** How the tasks of a job are doing, as a bar and in words. */
import type { TaskCounts } from "@berth/schema";
import { plural } from "../model/format.ts";
import type { Tone } from "../model/status.ts";
import "./task-bar.css";

/** In the order in which a task passes through them; what needs eyes is at the left end. */
const PARTS: readonly { readonly key: keyof TaskCounts; readonly tone: Tone; readonly filled: boolean }[] = [
  { key: "failed", tone: "bad", filled: true },
  { key: "running", tone: "ok", filled: true },
  { key: "starting", tone: "info", filled: true },
  { key: "stopping", tone: "drain", filled: true },
  { key: "succeeded", tone: "muted", filled: true },
  { key: "stopped", tone: "muted", filled: false },
  { key: "pending", tone: "info", filled: false },
];

export const countTasks = (counts: TaskCounts): number => PARTS.reduce((sum, part) => sum + counts[part.key], 0);

/** `3 running, 2 pending`; states without tasks are not named. */
export const countsSentence = (counts: TaskCounts): string => {
  const words = PARTS.filter((part) => counts[part.key] > 0).map((part) => `${counts[part.key]} ${part.key}`);
  return words.length === 0 ? "no tasks" : words.join(", ");
};

export const TaskBar = ({ counts }: { readonly counts: TaskCounts }) => {
  const whole = Math.max(1, countTasks(counts));
  let start = 0;
  return (
    <svg
      className="task-bar"
      role="img"
      aria-label={`${plural(countTasks(counts), "task")}: ${countsSentence(counts)}`}
    >
      <rect className="fill-track" width="100%" height="100%" />
      {PARTS.filter((part) => part.filled && counts[part.key] > 0).map((part) => {
        const x = start;
        start += counts[part.key] / whole;
        return (
          <rect
            key={part.key}
            data-tone={part.tone}
            x={`${(x * 100).toFixed(3)}%`}
            width={`${((counts[part.key] / whole) * 100).toFixed(3)}%`}
            height="100%"
          />
        );
      })}
    </svg>
  );
};
