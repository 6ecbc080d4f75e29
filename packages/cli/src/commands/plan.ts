/** `berth plan FILE`: what running a document would do now, without doing it. Exit status 2 when something would wait for room. */
import { decoder, PlanViewSchema, Routes, type Outcome, type PlanView } from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { locateIn } from "../document/locate.ts";
import { Exit, Failure } from "../failure.ts";
import { say } from "../io.ts";
import { printDocument } from "../output/format.ts";
import { outcomeState } from "../output/outcome.ts";
import { plainLine, type Colors } from "../output/style.ts";
import { renderTable } from "../output/table.ts";
import { imageOfPlan } from "./plan-image.ts";
import { checkedDocument } from "./run.ts";
import { clientOf, withConnection, withExamples, withFormat, type FormatOptions, type Register } from "./verb.ts";

const decodePlan = decoder(PlanViewSchema);
/** More rows than a screen has say less than their number. */
const MAX_ROWS = 20;

export const registerPlan: Register = (program, { io, finish }) => {
  const command = program
    .command("plan")
    .description("show what running a job would do, without doing it")
    .argument("<file>", "job document (YAML or JSON), - for standard input")
    .action(async (file: string, options: ConnectionOptions & FormatOptions) => {
      const client = clientOf(io, options);
      const document = await checkedDocument(io, file);
      const plan = await client
        .post(decodePlan, Routes.jobs, document.value, { query: { dryRun: "true" } })
        .catch((error: unknown) => {
          throw error instanceof Failure ? locateIn(document, error) : error;
        });
      const isText = options.output === "table" || options.output === "wide";
      const outcomes = plan.value.tasks.map(({ outcome }) => outcome);
      const image = isText ? await imageOfPlan(client, document.value, outcomes) : undefined;
      await printDocument(io, options.output, {
        document: plan.value,
        name: `${plan.value.project}/${plan.value.job}`,
        text: (width) =>
          planText(plan.value, { width, colors: io.out.colors, all: options.output === "wide" }) +
          (image === undefined ? "" : `${image}\n`),
      });
      for (const warning of plan.value.warnings) await say(io, `warning: ${plainLine(warning)}`);
      finish(plan.value.tasks.some((task) => lacksRoom(task.outcome)) ? Exit.blocked : Exit.ok);
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth plan examples/checksums.yaml", "where its tasks would go"],
    ["berth plan thumbs.yaml -o json", "with every host's score or refusal"],
  ]);
};

const lacksRoom = (outcome: Outcome): boolean =>
  outcome.kind === "blocked" || (outcome.kind === "held" && outcome.hold.kind === "gang");

const heading = (plan: PlanView): string => {
  const name = `${plan.project}/${plan.job}`;
  const stops =
    plan.stops === 0 ? "" : `; ${plan.stops} running ${plan.stops === 1 ? "task" : "tasks"} would be stopped`;
  switch (plan.action) {
    case "create":
      return `would create ${name}${stops}`;
    case "replace":
      return `would replace ${name} by version ${plan.version}${stops}`;
    case "change_limits":
      return `would change the limits of ${name} to those of version ${plan.version}; what runs would go on under them`;
    case "run_again":
      return `would run ${name} again as version ${plan.version}${stops}`;
    case "unchanged":
      return `${name} is already running like this: nothing would change`;
  }
};

const planText = (
  plan: PlanView,
  options: { readonly width: number | undefined; readonly colors: Colors; readonly all: boolean },
): string => {
  const counts = new Map<string, number>();
  for (const task of plan.tasks) {
    const state = outcomeState(task.outcome);
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  const summary = [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
  const lines = [heading(plan) + (summary === "" ? "" : ` (${summary})`)];
  const rows = options.all ? plan.tasks : plan.tasks.slice(0, MAX_ROWS);
  if (rows.length > 0) {
    const table = renderTable(
      [
        { title: "TASK", value: (task) => `${plan.job}[${task.index}]`, shrinkTo: 12 },
        {
          title: "OUTCOME",
          value: (task) => outcomeState(task.outcome),
          tone: (task) => (task.outcome.kind === "blocked" ? "bad" : "busy"),
        },
        { title: "WHY", value: (task) => task.sentence, shrinkTo: 20 },
      ],
      rows,
      options,
    );
    lines.push(table.trimEnd());
  }
  if (rows.length < plan.tasks.length) lines.push(`… and ${plan.tasks.length - rows.length} more (-o wide shows all)`);
  return `${lines.join("\n")}\n`;
};
