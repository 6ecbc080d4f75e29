/** `berth doctor`: whether Berth can run on this machine, and what to do where it cannot. Changes nothing. */
import { dataDirOf } from "../client/connection.ts";
import { gatherFacts } from "../doctor/facts.ts";
import { judge, type Check } from "../doctor/judge.ts";
import { Exit } from "../failure.ts";
import { say } from "../io.ts";
import { documentText } from "../output/format.ts";
import { paint, toneOf, type Colors } from "../output/style.ts";
import { renderTable } from "../output/table.ts";
import { DEFAULT_API_PORT, DEFAULT_NATS_PORT } from "../manager/defaults.ts";
import { readHolder } from "../manager/lock.ts";
import { withConnection, withExamples, withFormat, type FormatOptions, type Register } from "./verb.ts";

export const registerDoctor: Register = (program, { io, finish }) => {
  const command = program
    .command("doctor")
    .description("check whether this machine can run Berth, and say what to do where not")
    .action(async (options: FormatOptions & { readonly dataDir?: string }) => {
      const dataDir = dataDirOf(options, io.env);
      const holder = readHolder(dataDir);
      const checks = judge(
        await gatherFacts({
          env: io.env,
          dataDir,
          running: holder !== undefined,
          nowMs: io.nowMs(),
          ports: [
            { what: "API", host: "127.0.0.1", port: holder?.apiPort ?? DEFAULT_API_PORT },
            { what: "NATS", host: "127.0.0.1", port: holder?.natsPort ?? DEFAULT_NATS_PORT },
          ],
        }),
      );
      const { output } = options;
      if (output === "json" || output === "yaml") await io.out.write(documentText(output, { checks }));
      else if (output === "name")
        await io.out.write(
          checks
            .filter((one) => one.status !== "ok")
            .map((one) => `${one.id}\n`)
            .join(""),
        );
      else
        await io.out.write(
          checksText(checks, { width: output === "wide" ? undefined : io.out.columns(), colors: io.out.colors }),
        );
      const count = (status: Check["status"]): number => checks.filter((one) => one.status === status).length;
      if (output === "table" || output === "wide") await say(io, summary(count("bad"), count("warn")));
      finish(count("bad") > 0 ? Exit.failed : Exit.ok);
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth doctor", "all checks, with what to do"],
    ["berth doctor -o json", "for a program"],
  ]);
};

const summary = (bad: number, warn: number): string => {
  if (bad > 0) return `Berth cannot run here yet: ${bad} to mend${warn > 0 ? `, ${warn} to look at` : ""}.`;
  return warn > 0 ? `Berth can run here; ${warn} to look at.` : "Berth can run here.";
};

export const checksText = (
  checks: readonly Check[],
  options: { readonly width: number | undefined; readonly colors: Colors },
): string => {
  const table = renderTable(
    [
      { title: "CHECK", value: (check: Check) => check.id },
      { title: "STATUS", value: (check) => check.status, tone: (check) => toneOf(check.status) },
      { title: "DETAIL", value: (check) => check.detail, shrinkTo: 20 },
    ],
    checks,
    options,
  );
  const fixes = checks
    .filter((check) => check.fix !== null)
    .map((check) => `  ${paint(options.colors, toneOf(check.status), check.id)}: ${check.fix}`);
  return fixes.length === 0 ? table : `${table}\nWhat to do:\n${fixes.join("\n")}\n`;
};
