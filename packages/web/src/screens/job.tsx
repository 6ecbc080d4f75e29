/** One job: how it goes, why something waits, its tasks with how they ended, and the one action there is. */
import { useState } from "react";
import { formatBytes, formatCpu, formatDuration, Routes, taskTotal, type JobView } from "@berth/schema";
import { useSelf } from "../api/self.ts";
import { hasEnded, keyOf } from "../live/replica.ts";
import { useCluster } from "../live/store.ts";
import { formatCommand, plural } from "../model/format.ts";
import { rightsRefusal } from "../model/rights.ts";
import { allocationStatus, bareTaskStatus, jobStatus } from "../model/status.ts";
import { tasksOf, type Task } from "../model/tasks.ts";
import { Link, useQueryParam } from "../route/navigation.tsx";
import { PageHead, type Crumb } from "../shell/page.tsx";
import { Button, Chips, Copy } from "../ui/button.tsx";
import { StatusBadge } from "../ui/glyph.tsx";
import { Empty, Facts, Notice, Section, useSome, type Fact } from "../ui/panel.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { countsSentence, countTasks, TaskBar } from "../ui/task-bar.tsx";
import { At, Elapsed } from "../ui/time.tsx";
import { StopDialog } from "./stop-dialog.tsx";
import { WhyPanel } from "./why.tsx";
import "./job.css";

const CRUMBS: readonly Crumb[] = [{ label: "Jobs", to: { screen: "jobs" } }];

const limitText = (request: string, limit: string | null): string => {
  if (limit === null) return `${request}, no limit`;
  return limit === request ? request : `${request}, at most ${limit}`;
};

const RESTARTS = { failure: "after a failure", always: "always", never: "never" } as const;

const specFacts = (job: JobView): Fact[] => {
  const { spec } = job;
  const max =
    spec.restart.on === "never" || spec.restart.max === null ? "" : `, at most ${plural(spec.restart.max, "time")}`;
  return [
    ["Image", <code key="image">{spec.image}</code>],
    [
      "CPU per task",
      limitText(
        formatCpu(spec.requests.cpuMillis),
        spec.limits.cpuMillis === null ? null : formatCpu(spec.limits.cpuMillis),
      ),
    ],
    ["Memory per task", limitText(formatBytes(spec.requests.memoryBytes), formatBytes(spec.limits.memoryBytes))],
    ["Processes per task", spec.limits.pids.toLocaleString("en-US")],
    ["At a time", spec.maxRunning === null ? null : plural(spec.maxRunning, "task")],
    ["Restart", RESTARTS[spec.restart.on] + max],
    ["Time limit", spec.runTimeoutMs === null ? null : formatDuration(spec.runTimeoutMs)],
    ["Time to stop", formatDuration(spec.stopTimeoutMs)],
    [
      "Volumes",
      spec.volumes.length === 0 ? null : (
        <ul key="volumes">
          {spec.volumes.map((volume) => (
            <li key={volume.target}>
              <code>{volume.target}</code>{" "}
              <span className="muted">
                from {"source" in volume ? volume.source : `the volume ${volume.volume}`}
                {volume.readOnly ? ", read-only" : ""}
              </span>
            </li>
          ))}
        </ul>
      ),
    ],
    [
      "Outputs",
      spec.outputs.length === 0 ? null : (
        <code key="outputs">{spec.outputs.map((output) => output.path).join(" ")}</code>
      ),
    ],
    ["Submitted by", job.submittedBy],
    ["Submitted", <At key="submitted" atMs={job.submittedAtMs} />],
    ["Finished", job.finishedAtMs === null ? null : <At key="finished" atMs={job.finishedAtMs} />],
    ["Exit code", job.exitCode === null ? null : String(job.exitCode)],
    ["Version", String(job.version)],
  ];
};

const HOST: Column = { title: "Host", from: "medium" };
const COLUMNS: readonly Column[] = [
  { title: "Task" },
  { title: "State" },
  HOST,
  { title: "Attempts", end: true, from: "wide" },
  { title: "Ran for", end: true },
];

const TaskRow = ({ job, task }: { readonly job: JobView; readonly task: Task }) => {
  const { latest } = task;
  const name = `${job.name}[${task.index}]`;
  if (latest === undefined) {
    return (
      <tr>
        <th scope="row">{name}</th>
        <td>
          <StatusBadge status={bareTaskStatus(job)} />
        </td>
        <td className="if-medium muted">–</td>
        <td className="end if-wide">0</td>
        <td className="end muted">–</td>
      </tr>
    );
  }
  return (
    <tr>
      <th scope="row">
        <Link to={{ screen: "allocation", allocation: latest.id }} className="row-link">
          {name}
        </Link>
      </th>
      <td>
        <StatusBadge status={allocationStatus(latest)} />
        {latest.exit?.detail === undefined || latest.exit.detail === null ? null : (
          <div className="sub">{latest.exit.detail}</div>
        )}
      </td>
      <td className="if-medium">
        <Link to={{ screen: "host", host: latest.hostId }} className="above">
          {latest.hostId}
        </Link>
      </td>
      <td className="end if-wide">{Math.max(task.attempts, latest.attempt)}</td>
      <td className="end">
        {latest.startedAtMs === null ? (
          <span className="muted">–</span>
        ) : (
          <Elapsed fromMs={latest.startedAtMs} toMs={latest.exit?.finishedAtMs ?? null} />
        )}
      </td>
    </tr>
  );
};

const GROUPS = ["waiting", "active", "ended", "failed"] as const;
type Group = (typeof GROUPS)[number];
const isBad = (task: Task): boolean => task.latest !== undefined && allocationStatus(task.latest).tone === "bad";
const inGroup = (task: Task, group: Group): boolean => {
  switch (group) {
    case "waiting":
      return task.latest === undefined;
    case "active":
      return task.latest !== undefined && !hasEnded(task.latest);
    case "ended":
      return task.latest !== undefined && hasEnded(task.latest);
    case "failed":
      return isBad(task);
  }
};

const Tasks = ({ job, tasks }: { readonly job: JobView; readonly tasks: readonly Task[] }) => {
  const [show, setShow] = useQueryParam("tasks");
  const group = GROUPS.find((each) => each === show);
  const [shown, more] = useSome(group === undefined ? tasks : tasks.filter((task) => inGroup(task, group)));
  const count = (each: Group): number => tasks.filter((task) => inGroup(task, each)).length;
  return (
    <Section
      title="Tasks"
      aside={
        tasks.length === 1 ? undefined : (
          <Chips
            label="Which tasks"
            value={group ?? ""}
            onChange={setShow}
            choices={[
              { value: "", label: `All ${tasks.length}` },
              { value: "active", label: `Active ${count("active")}` },
              { value: "waiting", label: `Waiting ${count("waiting")}` },
              { value: "ended", label: `Ended ${count("ended")}` },
              { value: "failed", label: `Failed ${count("failed")}` },
            ]}
          />
        )
      }
    >
      {shown.length === 0 ? (
        <Empty title="No task is in this state" />
      ) : (
        <Table caption={`Tasks of ${job.name}`} columns={COLUMNS}>
          {shown.map((task) => (
            <TaskRow key={task.index} job={job} task={task} />
          ))}
        </Table>
      )}
      {more}
    </Section>
  );
};

/** A task to ask about: the first that waits, never placed or between two attempts. */
const waitingTask = (job: JobView, tasks: readonly Task[]): Task | undefined => {
  if (job.tasks.pending === 0 || (job.state !== "pending" && job.state !== "running")) return undefined;
  return (
    tasks.find((task) => task.latest === undefined) ??
    tasks.find((task) => task.latest !== undefined && hasEnded(task.latest) && isBad(task))
  );
};

const stopRefusal = (job: JobView): string | undefined => {
  if (job.state === "stopping") return "The job is stopping already";
  return job.finishedAtMs === null ? undefined : "The job has finished";
};

export const JobScreen = ({ project, name }: { readonly project: string; readonly name: string }) => {
  const cluster = useCluster();
  const self = useSelf();
  const [asking, setAsking] = useState(false);
  const job = cluster.jobs.get(keyOf({ project, name }));
  if (job === undefined) {
    return (
      <>
        <PageHead tab={name} title={`There is no job ${project}/${name}`} crumbs={CRUMBS} />
        <p className="muted">
          It was never submitted, or it finished so long ago that it was forgotten.{" "}
          <Link to={{ screen: "jobs" }}>All jobs</Link>
        </p>
      </>
    );
  }
  const tasks = tasksOf(cluster, job);
  const waiting = waitingTask(job, tasks);
  const refusal = stopRefusal(job) ?? rightsRefusal(self, Routes.jobStop, job.project);
  return (
    <>
      <PageHead
        tab={name}
        title={name}
        crumbs={[
          ...CRUMBS,
          { label: project, to: { screen: "jobs" }, query: `?q=${encodeURIComponent(`${project}/`)}` },
        ]}
        sub={
          <>
            <StatusBadge status={jobStatus(job)} />
            <span>{job.spec.kind}</span>
            <span>{plural(taskTotal(job.tasks), "task")}</span>
          </>
        }
        actions={
          <Button
            kind="danger"
            aria-disabled={refusal !== undefined}
            title={refusal}
            onClick={() => refusal === undefined && setAsking(true)}
          >
            Stop job
            {refusal === undefined ? null : <span className="visually-hidden"> ({refusal})</span>}
          </Button>
        }
      />
      <div className="job-progress">
        <TaskBar counts={job.tasks} />
        <p className="number">
          {countsSentence(job.tasks)} <span className="muted">of {countTasks(job.tasks)}</span>
        </p>
      </div>
      {waiting === undefined ? (
        job.pendingReason === null ? null : (
          <Notice tone="warn" title={job.pendingReason} />
        )
      ) : (
        <WhyPanel
          project={project}
          job={name}
          index={waiting.index}
          revision={`${job.version} ${job.pendingReason} ${job.tasks.pending} ${job.tasks.running}`}
        />
      )}
      <Tasks job={job} tasks={tasks} />
      <Section title="Specification">
        <div className="card host-facts">
          <div className="job-command">
            <Copy text={formatCommand(job.spec.command)} what="command">
              <code>{formatCommand(job.spec.command)}</code>
            </Copy>
          </div>
          <Facts facts={specFacts(job)} />
        </div>
      </Section>
      {asking ? <StopDialog cluster={cluster} job={job} onClose={() => setAsking(false)} /> : null}
    </>
  );
};
