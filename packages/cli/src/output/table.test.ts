import { describe, expect, test } from "vitest";
import { allocationView, exitOf, hostView, jobView } from "../testing/samples.ts";
import { allocationColumns, hostColumns, jobColumns, jobWideColumns } from "./columns.ts";
import { createColors } from "./style.ts";
import { renderTable } from "./table.ts";
import { widthOf } from "./width.ts";

const plain = createColors(false);
const NOW = 1_000_000;

const jobs = [
  jobView({ tasks: { running: 6, pending: 12, succeeded: 6 }, document: { name: "checksums", array: { size: 24 } } }),
  jobView({ state: "failed", exitCode: 3, tasks: { failed: 1 }, finishedAtMs: 950_000 }),
];

describe("a table", () => {
  test("as wide as it gets shows everything, without trailing blanks", () => {
    expect(`\n${renderTable(jobColumns(NOW), jobs, { width: undefined, colors: plain })}`).toMatchInlineSnapshot(`
      "
      PROJECT  JOB        KIND   STATE    TASKS                               EXIT  SUBMITTED
      default  checksums  batch  running  6 running, 12 pending, 6 succeeded        1m 40s ago
      default  hello      batch  failed   1 failed                               3  1m 40s ago
      "
    `);
  });

  test("in a narrow terminal cuts what may be cut and leaves out the least important", () => {
    expect(`\n${renderTable(jobColumns(NOW), jobs, { width: 60, colors: plain })}`).toMatchInlineSnapshot(`
      "
      JOB        KIND   STATE    TASKS            EXIT  SUBMITTED
      checksums  batch  running  6 running, 12 …        1m 40s ago
      hello      batch  failed   1 failed            3  1m 40s ago
      "
    `);
  });

  test("never is wider than the terminal, down to 40 cells", () => {
    const hosts = [hostView(), hostView({ state: "lost", usage: null, lastHeartbeatAgoMs: null })];
    for (let width = 40; width <= 140; width += 1) {
      for (const text of [
        renderTable(jobColumns(NOW), jobs, { width, colors: plain }),
        renderTable(hostColumns, hosts, { width: Math.max(width, 60), colors: plain }),
      ]) {
        const most = Math.max(...text.split("\n").map(widthOf));
        expect(most, text).toBeLessThanOrEqual(text.startsWith("HOST") ? Math.max(width, 60) : width);
      }
    }
  });

  test("of hosts says what is reserved of what may be, and what is used", () => {
    const hosts = [hostView(), hostView({ state: "lost", usage: null, lastHeartbeatAgoMs: null })];
    expect(`\n${renderTable(hostColumns, hosts, { width: 120, colors: plain })}`).toMatchInlineSnapshot(`
      "
      HOST  STATE  TASKS  CPU RESERVED       USED  MEMORY RESERVED              USED      HEARD
      h-01  ready      3  0.95 of 3.8 (25%)  0.12  1.5 GiB of 7.5 GiB (20%)  700 MiB  400ms ago
      h-01  lost       3  0.95 of 3.8 (25%)        1.5 GiB of 7.5 GiB (20%)               never
      "
    `);
  });

  test("of tasks says how an attempt ended when it was not by its own exit", () => {
    const rows = [
      allocationView({ usage: { cpuMillis: 250, memoryBytes: 2 ** 20, pids: 1 } }),
      allocationView({
        index: 17,
        attempt: 2,
        state: "exited",
        exit: exitOf({ code: 137, signal: 9, oom: true, cause: "oom" }),
      }),
    ];
    expect(`\n${renderTable(allocationColumns(NOW), rows, { width: 100, colors: plain })}`).toMatchInlineSnapshot(`
      "
      PROJECT  TASK       STATE    HOST  ATTEMPT   CPU  MEMORY  RAN  EXIT
      default  hello[0]   running  h-01        1  0.25   1 MiB  50s
      default  hello[17]  exited   h-01        2                10s  137 (oom)
      "
    `);
  });

  test("shows control characters of foreign text instead of obeying them", () => {
    const evil = [jobView({ submittedBy: "\u001b[2Jroot\u0007\nfake line" })];
    const text = renderTable([...jobColumns(NOW), ...jobWideColumns], evil, { width: undefined, colors: plain });
    expect(text.split("\n")).toHaveLength(3);
    // oxlint-disable-next-line no-control-regex
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
    expect(text).toContain("␛[2Jroot␇ fake line");
  });

  test("colours cells after padding them", () => {
    const text = renderTable(jobColumns(NOW), jobs, { width: 80, colors: createColors(true) });
    // oxlint-disable-next-line no-control-regex
    const stripped = text.replaceAll(/\u001b\[\d+m/g, "");
    expect(text).toContain("\u001b[31m");
    expect(stripped).toBe(renderTable(jobColumns(NOW), jobs, { width: 80, colors: plain }));
  });
});
