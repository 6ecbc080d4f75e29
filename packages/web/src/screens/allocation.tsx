/** One attempt of one task: how it is or how it ended, what it uses, what it wrote. */
import { formatBytes, formatCpu, taskName, type AllocationId, type AllocationView } from "@berth/schema";
import { hasEnded, keyOf } from "../live/replica.ts";
import { useCluster } from "../live/store.ts";
import { formatCpuUsed, plural, shortId } from "../model/format.ts";
import { allocationStatus, causeSentence } from "../model/status.ts";
import { allocationsOfJob } from "../model/tasks.ts";
import { Link } from "../route/navigation.tsx";
import { PageHead, type Crumb } from "../shell/page.tsx";
import { Copy } from "../ui/button.tsx";
import { FillBar } from "../ui/fill.tsx";
import { StatusBadge } from "../ui/glyph.tsx";
import { Facts, Notice, Section } from "../ui/panel.tsx";
import { At, Elapsed } from "../ui/time.tsx";
import { Bringing } from "./bringing.tsx";
import { Logs } from "./logs.tsx";
import { Outputs } from "./outputs.tsx";
import { ScoreParts } from "./why.tsx";
import "./allocation.css";

const Ending = ({ allocation }: { readonly allocation: AllocationView }) => {
  const { exit } = allocation;
  if (exit === null) return null;
  const tone = allocationStatus(allocation).tone;
  if (tone !== "bad" && exit.detail === null) return null;
  return (
    <Notice tone={tone === "bad" ? "bad" : "muted"} title={`${causeSentence(exit)} (exit code ${exit.code})`}>
      {exit.detail === null ? null : <p>{exit.detail}</p>}
    </Notice>
  );
};

const Usage = ({ allocation }: { readonly allocation: AllocationView }) => {
  const { resources, usage } = allocation;
  const rows = [
    { dimension: "cpuMillis", name: "CPU", format: formatCpu, used: formatCpuUsed },
    { dimension: "memoryBytes", name: "Memory", format: formatBytes, used: formatBytes },
    { dimension: "pids", name: "Processes", format: String, used: String },
  ] as const;
  if (hasEnded(allocation)) return null;
  return (
    <Section title="Used of what it reserves">
      <div className="card usage">
        {rows.map(({ dimension, name, format, used }) => (
          <div key={dimension}>
            <p className="host-strip-head">
              <span>{name}</span>
              <span className="number">
                {usage === null ? "–" : used(usage[dimension])}{" "}
                <span className="muted">of {format(resources[dimension])}</span>
              </span>
            </p>
            <FillBar
              label={name}
              format={format}
              fill={{ allocatable: resources[dimension], reserved: 0, used: usage?.[dimension] ?? 0 }}
            />
          </div>
        ))}
      </div>
    </Section>
  );
};

/** Its job has other limits by now, and its host could not give it those. */
const OldLimits = ({ allocation }: { readonly allocation: AllocationView }) => {
  const why = allocation.usage?.limitsRefused;
  if (why === undefined || hasEnded(allocation)) return null;
  return (
    <Notice tone="warn" title="It runs on with its former limits: its host could not apply those that the job has now">
      <p>{why}</p>
    </Notice>
  );
};

/** Other attempts of the same task: a restart leaves its predecessor here. */
const Attempts = ({ allocation }: { readonly allocation: AllocationView }) => {
  const cluster = useCluster();
  const others = allocationsOfJob(cluster, keyOf({ project: allocation.project, name: allocation.job }))
    .filter((other) => other.index === allocation.index && other.id !== allocation.id)
    .sort((a, b) => b.attempt - a.attempt)
    .slice(0, 10);
  if (others.length === 0) return null;
  return (
    <ul className="attempts">
      {others.map((other) => (
        <li key={other.id}>
          <Link to={{ screen: "allocation", allocation: other.id }}>Attempt {other.attempt}</Link>{" "}
          <StatusBadge status={allocationStatus(other)} detail={`on ${other.hostId}`} />
        </li>
      ))}
    </ul>
  );
};

export const AllocationScreen = ({ id }: { readonly id: string }) => {
  const cluster = useCluster();
  const allocation = cluster.allocations.get(id as AllocationId);
  if (allocation === undefined) {
    return (
      <>
        <PageHead
          tab="Allocation"
          title="There is no such allocation"
          crumbs={[{ label: "Jobs", to: { screen: "jobs" } }]}
        />
        <p className="muted">It never existed, or its job was forgotten since.</p>
      </>
    );
  }
  const { project, job, index, exit } = allocation;
  const name = `${job}[${index}]`;
  const crumbs: readonly Crumb[] = [
    { label: "Jobs", to: { screen: "jobs" } },
    { label: `${project}/${job}`, to: { screen: "job", project, job } },
  ];
  const spec = cluster.jobs.get(keyOf({ project, name: job }))?.spec;
  return (
    <>
      <PageHead
        tab={name}
        title={name}
        crumbs={crumbs}
        sub={
          <>
            <StatusBadge status={allocationStatus(allocation)} />
            <span>
              on <Link to={{ screen: "host", host: allocation.hostId }}>{allocation.hostId}</Link>
            </span>
            {allocation.startedAtMs === null ? null : (
              <span>
                {exit === null ? "running for" : "ran for"}{" "}
                <Elapsed fromMs={allocation.startedAtMs} toMs={exit?.finishedAtMs ?? null} />
              </span>
            )}
          </>
        }
      />
      <Ending allocation={allocation} />
      <OldLimits allocation={allocation} />
      {allocation.startedAtMs === null && !hasEnded(allocation) ? <Bringing id={allocation.id} /> : null}
      <Logs allocation={allocation} />
      <Usage allocation={allocation} />
      {spec === undefined || spec.outputs.length === 0 || allocation.state !== "exited" ? null : (
        <Outputs id={allocation.id} />
      )}
      <Section title="Details">
        <div className="card host-facts">
          <Facts
            facts={[
              [
                "Allocation",
                <Copy key="id" text={allocation.id} what="id">
                  <code title={allocation.id}>{shortId(allocation.id)}</code>
                </Copy>,
              ],
              ["Attempt", String(allocation.attempt)],
              [
                "Reason",
                <code key="reason">
                  {allocation.preemptedBy === undefined
                    ? allocation.reason
                    : `${allocation.reason} by ${allocation.preemptedBy.project}/${taskName(allocation.preemptedBy.job, allocation.preemptedBy.index)}`}
                </code>,
              ],
              ["Placed", <At key="placed" atMs={allocation.placedAtMs} />],
              ["Started", allocation.startedAtMs === null ? null : <At key="started" atMs={allocation.startedAtMs} />],
              ["Ended", exit === null ? null : <At key="ended" atMs={exit.finishedAtMs} />],
              ["Exit code", exit === null ? null : String(exit.code)],
              ["Signal", exit?.signal === undefined || exit.signal === null ? null : String(exit.signal)],
              [
                "Reserves",
                `${formatCpu(allocation.resources.cpuMillis)} CPU, ${formatBytes(allocation.resources.memoryBytes)}, ${plural(allocation.resources.pids, "process", "processes")}`,
              ],
              ["Job version", String(allocation.jobVersion)],
              ["Epoch", String(allocation.epoch)],
            ]}
          />
          <Attempts allocation={allocation} />
        </div>
      </Section>
      {allocation.score.parts.length === 0 ? null : (
        <Section
          title={`Why on ${allocation.hostId}`}
          aside={<span className="muted number">score {allocation.score.total.toFixed(3)} of 1</span>}
        >
          <div className="card host-facts">
            <ScoreParts score={allocation.score} />
          </div>
        </Section>
      )}
    </>
  );
};
