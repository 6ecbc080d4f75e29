/** docs/reference/metrics.md: names and help texts as the scheduler registers them. */
import { readFileSync } from "node:fs";
import { page, table } from "./markdown.ts";

const source = new URL("../../packages/scheduler/src/adapters/metrics/prometheus.ts", import.meta.url);

/** `name: "berth_x", help: "…"` and `("berth_x", "…", ["label"])`. */
const REGISTRATION =
  /"(berth_[a-z0-9_]+)",\s*(?:help:\s*)?"((?:[^"\\]|\\.)*)"(?:,\s*(?:labelNames:\s*)?\[([^\]]*)\])?/g;

export const render = (): string =>
  page(
    "Metrics",
    "`GET /metrics` of the scheduler answers in Prometheus' text format. Units are base units; labels are bounded. The process itself adds the usual `berth_process_…` and `berth_nodejs_…`.",
    table(
      ["Metric", "Labels", "Meaning"],
      [...readFileSync(source, "utf8").matchAll(REGISTRATION)].map(([, name = "", help = "", labels = ""]) => [
        `\`${name}\``,
        labels.replaceAll('"', "`").trim(),
        help,
      ]),
    ),
  );
