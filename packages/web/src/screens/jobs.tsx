/** Every job with how its tasks are doing; what still moves comes first. The filter is part of the address. */
import type { JobView } from "@berth/schema";
import { useCluster } from "../live/store.ts";
import { keyOf } from "../live/replica.ts";
import { inFilter, inJobOrder, isJobFilter, JOB_FILTERS, matchesText, type JobFilter } from "../model/job-filter.ts";
import { plural } from "../model/format.ts";
import { jobStatus } from "../model/status.ts";
import { Link, useQueryParam } from "../route/navigation.tsx";
import { PageHead } from "../shell/page.tsx";
import { Button, Chips, Command } from "../ui/button.tsx";
import { StatusBadge } from "../ui/glyph.tsx";
import { Empty, useSome } from "../ui/panel.tsx";
import { columnClass, Table, type Column } from "../ui/table.tsx";
import { countsSentence, TaskBar } from "../ui/task-bar.tsx";
import { Ago } from "../ui/time.tsx";
import "./jobs.css";

const COLUMNS = {
  job: { title: "Job" },
  state: { title: "State" },
  tasks: { title: "Tasks", grow: true, from: "medium" },
  kind: { title: "Kind", from: "wide" },
  submitted: { title: "Submitted", end: true, from: "medium" },
} as const satisfies Readonly<Record<string, Column>>;

const headline = (jobs: readonly JobView[]): string => {
  if (jobs.length === 0) return "No job was submitted yet";
  const active = jobs.filter((job) => inFilter(job, "active")).length;
  return active === 0 ? "All jobs have finished" : `${plural(active, "job")} ${active === 1 ? "is" : "are"} active`;
};

const JobRow = ({ job }: { readonly job: JobView }) => (
  <tr>
    <th scope="row">
      <Link to={{ screen: "job", project: job.project, job: job.name }} className="row-link">
        {job.name}
      </Link>
      <div className="sub">{job.project}</div>
      <div className="if-narrow">
        <TaskBar counts={job.tasks} />
      </div>
    </th>
    <td>
      <StatusBadge
        status={jobStatus(job)}
        detail={job.state === "failed" && job.exitCode !== null ? `(${job.exitCode})` : undefined}
      />
    </td>
    <td className={columnClass(COLUMNS.tasks)}>
      <TaskBar counts={job.tasks} />
      <div className="sub">
        {countsSentence(job.tasks)}
        {job.pendingReason === null ? null : <span className="job-waits"> – {job.pendingReason}</span>}
      </div>
    </td>
    <td className={`muted ${columnClass(COLUMNS.kind)}`}>{job.spec.kind}</td>
    <td className={`muted ${columnClass(COLUMNS.submitted)}`}>
      <Ago atMs={job.submittedAtMs} />
    </td>
  </tr>
);

const LABELS: Readonly<Record<JobFilter, string>> = {
  active: "Active",
  waiting: "Waiting",
  failed: "Failed",
  finished: "Finished",
};

export const JobsScreen = () => {
  const cluster = useCluster();
  const [text, setText] = useQueryParam("q");
  const [status, setStatus] = useQueryParam("status");
  const jobs = [...cluster.jobs.values()];
  const filter = isJobFilter(status) ? status : undefined;
  const byText = jobs.filter((job) => matchesText(job, text));
  const found = byText.filter((job) => inFilter(job, filter)).sort(inJobOrder);
  const [shown, more] = useSome(found);
  const count = (each: JobFilter | undefined): number => byText.filter((job) => inFilter(job, each)).length;
  return (
    <>
      <PageHead tab="Jobs" title={headline(jobs)} />
      {jobs.length === 0 ? (
        <Empty title="Start with the smallest one">
          <p>A job is a YAML file. This one prints a line and ends; it appears here at once.</p>
          <Command text="npx berth run examples/hello.yaml" />
        </Empty>
      ) : (
        <div className="jobs">
          <div className="toolbar">
            <label className="visually-hidden" htmlFor="job-filter">
              Filter jobs
            </label>
            <input
              id="job-filter"
              className="field"
              type="search"
              placeholder="Filter by name, project, image…"
              data-filter
              autoComplete="off"
              spellCheck={false}
              value={text}
              onChange={(event) => setText(event.target.value)}
              onKeyDown={(event) => {
                // From the filter straight into what it found; Escape empties it, as the browser has it.
                if (event.key === "Enter") document.querySelector<HTMLElement>("main .row-link")?.focus();
              }}
            />
            <Chips
              label="Which jobs"
              value={filter ?? ""}
              onChange={setStatus}
              choices={[
                { value: "", label: `All ${count(undefined)}` },
                ...JOB_FILTERS.map((each) => ({ value: each, label: `${LABELS[each]} ${count(each)}` })),
              ]}
            />
          </div>
          <p className="visually-hidden" role="status">
            {plural(found.length, "job")} shown
          </p>
          {found.length === 0 ? (
            <Empty title="No job matches">
              <Button
                onClick={() => {
                  setText("");
                  setStatus("");
                }}
              >
                Clear the filter
              </Button>
            </Empty>
          ) : (
            <Table caption="Jobs" columns={Object.values(COLUMNS)}>
              {shown.map((job) => (
                <JobRow key={keyOf(job)} job={job} />
              ))}
            </Table>
          )}
          {more}
        </div>
      )}
    </>
  );
};
