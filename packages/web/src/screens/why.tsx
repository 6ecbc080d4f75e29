/** Why a task is where it is, or nowhere: the scheduler's own answer, host by host, and what would change it. */
import { useEffect, useState } from "react";
import {
  furtherInWords,
  taskName,
  type HostRejection,
  type Hold,
  type Outcome,
  type ScoreBreakdown,
  type UnblockHint,
  type Why,
} from "@berth/schema";
import { fetchWhy, type Failure } from "../api/client.ts";
import { formatAmount, formatRatio, plural } from "../model/format.ts";
import { Link } from "../route/navigation.tsx";
import { Notice } from "../ui/panel.tsx";
import { Table } from "../ui/table.tsx";
import "./why.css";

const NAMES: Readonly<Record<string, string>> = { cpuMillis: "CPU", memoryBytes: "memory", pids: "processes" };
const nameOf = (dimension: string): string => NAMES[dimension] ?? furtherInWords(dimension);

const hintSentence = (hint: UnblockHint): string => {
  switch (hint.kind) {
    case "free_resources":
      return `Free ${formatAmount(hint.dimension, hint.short)} on ${hint.hostId}`;
    case "reduce_request":
      return `Ask for at most ${formatAmount(hint.dimension, hint.to)} of ${nameOf(hint.dimension)} per task`;
    case "relax_rule":
      return `Give up the rule "${hint.rule}": nothing else stands against ${plural(hint.hosts, "host")}`;
    case "wait":
      return `Wait until ${new Date(hint.untilMs).toLocaleTimeString()}: by then there is room on ${hint.hostId}`;
    case "relax_disruption":
      return `Let ${plural(hint.more, "more task")} of ${hint.job} be stopped at a time (its disruption budget)`;
    case "raise_priority":
      return `Give it a priority above ${hint.above}: ${plural(hint.victims, "task")} would be stopped for it`;
    case "add_host":
      return "Add a host with enough room";
  }
};

const holdSentence = (hold: Hold): string => {
  switch (hold.kind) {
    case "quota": {
      const amount = (value: number): string =>
        hold.dimension === "tasks"
          ? plural(value, "task")
          : `${formatAmount(hold.dimension, value)} of ${nameOf(hold.dimension)}`;
      return `Project ${hold.project} holds ${amount(hold.used)}, its quota is ${amount(hold.limit)}: ${amount(hold.short)} too little for this.`;
    }
    case "max_running":
      return `The job runs at most ${plural(hold.limit, "task")} at a time, and ${hold.running} do now.`;
    case "backoff":
      return `Attempt ${hold.attempt} starts at ${new Date(hold.untilMs).toLocaleTimeString()}, after a pause.`;
    case "previous_stopping":
      return "The attempt before it is still stopping.";
    case "room_reserved":
      return hold.waitsFor === 0
        ? `Its room on ${hold.hostId} is kept until the rest of its gang can start.`
        : `Its room on ${hold.hostId} is kept; ${plural(hold.waitsFor, "task")} there must end first.`;
    case "gang":
      return `It starts with its gang: ${plural(hold.needed, "task")} at once, and there is room for ${hold.able}.`;
    case "backfill":
      return `It would fit on ${hold.hostId}, which is kept for ${hold.keptFor}${hold.untilMs === null ? "" : ` until ${new Date(hold.untilMs).toLocaleTimeString()}`}.`;
  }
};

const Rejection = ({ rejection }: { readonly rejection: HostRejection }) => {
  switch (rejection.reason) {
    case "cordoned":
      return <td colSpan={3}>takes nothing new (cordoned)</td>;
    case "draining":
      return <td colSpan={3}>is being emptied</td>;
    case "disconnected":
    case "lost":
      return <td colSpan={3}>does not answer</td>;
    case "too_small":
    case "exhausted":
      return (
        <>
          <td>
            {rejection.reason === "too_small"
              ? `has too little ${nameOf(rejection.dimension)} in all`
              : `${nameOf(rejection.dimension)} is booked`}
          </td>
          <td className="end if-medium">{formatAmount(rejection.dimension, rejection.free)}</td>
          <td className="end">{formatAmount(rejection.dimension, rejection.short)}</td>
        </>
      );
    case "kept":
      return <td colSpan={3}>{`is kept for ${rejection.keptFor}`}</td>;
    case "port":
      return <td colSpan={3}>{`${rejection.rule} ${rejection.actual}`}</td>;
    default:
      return <td colSpan={3}>{`is against the rule "${rejection.rule}": ${rejection.actual}`}</td>;
  }
};

const Blocked = ({ outcome }: { readonly outcome: Extract<Outcome, { kind: "blocked" }> }) => (
  <>
    {outcome.hosts.length === 0 ? null : (
      <Table
        caption="Why each host cannot take it"
        columns={[
          { title: "Host" },
          { title: "First failing check" },
          { title: "Free", end: true, from: "medium" },
          { title: "Short by", end: true },
        ]}
      >
        {outcome.hosts.map((rejection) => (
          <tr key={rejection.hostId}>
            <th scope="row">
              <Link to={{ screen: "host", host: rejection.hostId }}>{rejection.hostId}</Link>
            </th>
            <Rejection rejection={rejection} />
          </tr>
        ))}
      </Table>
    )}
    {outcome.unblockedBy.length === 0 ? null : (
      <div>
        <p>What would let it run:</p>
        <ul className="bullets">
          {outcome.unblockedBy.map((hint) => (
            <li key={JSON.stringify(hint)}>{hintSentence(hint)}</li>
          ))}
        </ul>
      </div>
    )}
  </>
);

/** `roomKept` → `room kept`; a part that is named after a dimension is called as that is. */
const partName = (name: string): string =>
  Object.hasOwn(NAMES, name)
    ? nameOf(name)
    : name.replaceAll(/[_-]/g, " ").replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

/** The parts of a score, the weightiest first, as bars. */
export const ScoreParts = ({ score }: { readonly score: ScoreBreakdown }) => (
  <ul className="score">
    {[...score.parts]
      .sort((a, b) => b.weight - a.weight)
      .map((part) => (
        <li key={part.name}>
          <span>{partName(part.name)}</span>
          <svg className="pressure-bar" aria-hidden="true">
            <rect className="fill-track" width="100%" height="100%" />
            <rect
              className="fill-used"
              width={`${(Math.min(1, Math.max(0, part.value)) * 100).toFixed(2)}%`}
              height="100%"
            />
          </svg>
          <span className="number end">{formatRatio(part.value)}</span>
          <span className="muted number">weight {Number(part.weight.toFixed(3))}</span>
        </li>
      ))}
  </ul>
);

const OutcomeDetail = ({ outcome }: { readonly outcome: Outcome }) => {
  switch (outcome.kind) {
    case "blocked":
      return <Blocked outcome={outcome} />;
    case "held":
      return <p>{holdSentence(outcome.hold)}</p>;
    case "placed":
      return <ScoreParts score={outcome.score} />;
    case "preempts":
      return (
        <ul className="bullets">
          {outcome.victims.map(({ id, project, job, index, priority }) => (
            <li key={id}>{`${project}/${taskName(job, index)} (${priority}) is stopped for it`}</li>
          ))}
        </ul>
      );
    case "finished":
      return null;
  }
};

/** Of a daemon: every host that it is not on. */
const Lacking = ({ lacking: { hosts, total } }: { readonly lacking: NonNullable<Why["lacking"]> }) =>
  total === 0 ? null : (
    <div>
      <p>{`It is not on ${plural(total, "host")}:`}</p>
      <ul className="bullets">
        {hosts.map(({ hostId, sentence }) => (
          <li key={hostId}>
            <Link to={{ screen: "host", host: hostId }}>{hostId}</Link>
            {`: ${sentence}`}
          </li>
        ))}
        {total > hosts.length ? <li>{`and ${total - hosts.length} more`}</li> : null}
      </ul>
    </div>
  );

type Answer = { readonly why: Why } | { readonly failure: Failure } | undefined;

/** Asks when it appears and whenever `revision` says that the job has changed; the answer before stays meanwhile. */
export const WhyPanel = ({
  project,
  job,
  index,
  revision,
}: {
  readonly project: string;
  readonly job: string;
  readonly index: number;
  /** Anything that differs when the answer may differ. */
  readonly revision: string;
}) => {
  const [answer, setAnswer] = useState<Answer>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    void fetchWhy(project, job, index, abort.signal).then((result) => {
      if (!abort.signal.aborted) setAnswer(result.ok ? { why: result.value } : { failure: result.error });
    });
    return () => abort.abort();
  }, [project, job, index, revision]);
  if (answer === undefined) return null;
  if ("failure" in answer) {
    return (
      <Notice tone="muted" title="Why it waits is not known now">
        <p>{answer.failure.detail ?? answer.failure.title}</p>
      </Notice>
    );
  }
  // It was placed or finished in the meantime: the question is over.
  if (answer.why.outcome.kind === "placed" || answer.why.outcome.kind === "finished") return null;
  return (
    <Notice tone={answer.why.outcome.kind === "blocked" ? "warn" : "info"} title={answer.why.sentence}>
      <OutcomeDetail outcome={answer.why.outcome} />
      {answer.why.lacking === undefined ? null : <Lacking lacking={answer.why.lacking} />}
    </Notice>
  );
};
