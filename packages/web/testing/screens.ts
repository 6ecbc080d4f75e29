/** The addresses of every screen that a made-up cluster has to show. */
import type { Snapshot } from "./cluster.ts";

const find = (snapshot: Snapshot, job: string, index: number): string => {
  const found = snapshot.allocations.find((allocation) => allocation.job === job && allocation.index === index);
  if (found === undefined) throw new Error(`no ${job}[${index}] in the snapshot`);
  return `/allocations/${found.id}`;
};

/** For the busy and the troubled cluster. */
export const screensOf = (snapshot: Snapshot): Readonly<Record<string, string>> => ({
  overview: "/",
  hosts: "/hosts",
  "hosts-by-job": "/hosts?color=job",
  host: "/hosts/pike",
  "host-hybrid": "/hosts/roach",
  jobs: "/jobs",
  "jobs-filtered": "/jobs?q=ops&status=finished",
  "jobs-none": "/jobs?q=nothing-like-this",
  job: "/jobs/media/thumbs",
  "job-blocked": "/jobs/research/train",
  "job-failed": "/jobs/ops/nightly-backup",
  "allocation-running": find(snapshot, "thumbs", 20),
  "allocation-oom": find(snapshot, "thumbs", 19),
  "allocation-outputs": find(snapshot, "checksums", 1),
  missing: "/no/such/place",
});
