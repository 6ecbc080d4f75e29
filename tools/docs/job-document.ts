/** docs/reference/job-document.md: the fields from the schema, the defaults from the parser itself. */
import { JobDocumentSchema, parseJobDocument } from "../../packages/schema/src/index.ts";
import { fieldRows, page, table } from "./markdown.ts";

const defaults = (kind: "batch" | "service"): string => {
  const parsed = parseJobDocument({ name: "thumbs", kind, image: "builtin://busybox", command: ["render"] });
  if (!parsed.ok) throw new Error(parsed.error.detail ?? parsed.error.title);
  return `\`\`\`json\n${JSON.stringify(parsed.value, null, 2)}\n\`\`\``;
};

export const render = (): string =>
  page(
    "The job document",
    "YAML or JSON; the same fields in both. A key that is not listed here is an error, with the nearest known key as a suggestion. All that is wrong is reported at once, with its place.",
    `\`\`\`yaml
name: thumbs
project: media
kind: batch
image: builtin://busybox
command: ["sh", "-c", "render --shard \${INDEX} --of \${COUNT} --to /out"]
env: { LEVEL: info }
resources:
  cpu: { request: 0.5, limit: 2 }
  memory: { request: 256Mi, limit: 512Mi }
  pids: 256
array: { size: 500, maxRunning: 40 }
volumes: [{ source: /srv/images, target: /in, readOnly: true }]
outputs: [{ path: /out }]
restart: { on: failure, max: 3, backoff: 1s..60s, exitCodes: { retry: [75], fatal: [64] } }
timeouts: { run: 30m, stop: 10s }
disconnect: { after: 90s, action: replace, singleton: false }
\`\`\``,
    "## Fields",
    table(["Field", "Type", "Required", "Meaning"], fieldRows(JobDocumentSchema)),
    `## Quantities

| What | How it is written |
| --- | --- |
| CPU | \`0.5\`, \`2\`, \`250m\` (thousandths) |
| Memory | \`256Mi\`, \`1.5Gi\` (powers of 1024), \`80MB\` (powers of 1000), or a number of bytes |
| Time | \`250ms\`, \`30s\`, \`1m30s\`, \`2h\`, \`1d\`; a bare number is refused |`,
    `## What the program finds

\`\${INDEX}\` (the index of the task) and \`\${COUNT}\` (the number of tasks) are replaced in \`command\` and in the values of \`env\`; nothing else is, so \`\${HOME}\` reaches the shell as written. In the environment: \`BERTH_PROJECT\`, \`BERTH_JOB\`, \`BERTH_TASK\` (\`thumbs[17]\`), \`BERTH_INDEX\`, \`BERTH_COUNT\`, \`BERTH_ATTEMPT\`, \`BERTH_ALLOCATION\`, \`BERTH_HOST\`. A file written below a path of \`outputs\` is collected when the task exits with 0.`,
    `## Restarts

After an attempt of a batch task: a code in \`exitCodes.fatal\` fails the task; a code in \`exitCodes.retry\`, or any code but 0 when \`on\` is \`failure\`, starts another attempt while \`max\` allows it; code 0 ends it as succeeded. A service, and a [daemon](../how-to/daemons.md), is always started again unless it is stopped. Each wait doubles from the first of \`backoff\` to the longest. Attempts that ended because a host was lost or rebooted are repeated and not counted.`,
    `## Defaults

Berth keeps documents as specs: complete, in whole units. A batch job that says only what it must becomes:`,
    defaults("batch"),
    "A service differs in `restart.on`:",
    defaults("service"),
  );
