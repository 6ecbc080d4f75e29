/** `berth audit`: who changed what, from where, and who was refused. */
import { setTimeout as sleep } from "node:timers/promises";
import { Option } from "commander";
import {
  AUDIT_RESULTS,
  AuditListSchema,
  decoder,
  MAX_AUDIT_PAGE,
  Routes,
  type AuditEntry,
  type AuditList,
} from "@berth/schema";
import type { Client, Query } from "../client/client.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { jobRef } from "../client/queries.ts";
import { Exit } from "../failure.ts";
import type { Io } from "../io.ts";
import { printListing } from "../output/format.ts";
import { plainLine } from "../output/style.ts";
import type { Column } from "../output/table.ts";
import {
  clientOf,
  wholeNumber,
  withConnection,
  withExamples,
  withFormat,
  type FormatOptions,
  type Register,
} from "./verb.ts";

const decodeList = decoder(AuditListSchema);
const DEFAULT_TAIL = 50;
const POLL_MS = 1_000;

interface AuditOptions extends ConnectionOptions, FormatOptions {
  readonly follow?: boolean;
  readonly since?: number;
  readonly tail?: number;
  readonly who?: string;
  readonly project?: string;
  readonly job?: string;
  readonly host?: string;
  readonly kind?: string;
  readonly result?: string;
}

export const registerAudit: Register = (program, { io, finish }) => {
  const command = program
    .command("audit")
    .description("who changed what, from where, and who was refused")
    .option("-f, --follow", "keep printing what comes; -o json prints one object a line")
    .addOption(
      new Option("--since <sequence>", "everything after this sequence")
        .argParser(wholeNumber(0, Number.MAX_SAFE_INTEGER))
        .conflicts("tail"),
    )
    .addOption(
      new Option("--tail <n>", `so many of the newest (default ${DEFAULT_TAIL})`).argParser(
        wholeNumber(0, MAX_AUDIT_PAGE),
      ),
    )
    .option("--who <name>", "only of this token")
    .option("-p, --project <name>", "only of this project")
    .option("--job <job>", "only of this job, or project/job")
    .option("--host <name>", "only of this host")
    .option("--kind <kind>", "only of this kind: job_submitted, host_draining, ...")
    .addOption(new Option("--result <result>", "only what was done, or what was refused").choices([...AUDIT_RESULTS]))
    .action(async (options: AuditOptions) => {
      finish(await audit(io, clientOf(io, options), options));
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth audit --host h1", "who did what with this host"],
    ["berth audit -f --result refused", "who is refused from here on"],
  ]);
};

const atOf = ({ atMs }: AuditEntry): string => new Date(atMs).toISOString().replace(/\.\d+Z$/, "Z");
const subjectOf = ({ project, job, host }: AuditEntry): string =>
  project === null ? (host ?? "cluster") : job === null ? project : `${project}/${job}`;
const resultOf = ({ result, code }: AuditEntry): string => (code === null ? result : `${result}: ${code}`);

const columns: readonly Column<AuditEntry>[] = [
  { title: "AT", value: atOf },
  { title: "SEQUENCE", value: ({ sequence }) => String(sequence), align: "right", dropOrder: 2 },
  { title: "WHO", value: ({ origin }) => origin.who },
  { title: "FROM", value: ({ origin }) => origin.from },
  { title: "WHAT", value: ({ kind }) => kind, dropOrder: 1 },
  { title: "ON", value: subjectOf },
  { title: "RESULT", value: resultOf, tone: ({ result }) => (result === "refused" ? "bad" : undefined) },
  { title: "MESSAGE", value: ({ message }) => plainLine(message), shrinkTo: 20, dropOrder: 3 },
];

const lineOf = (entry: AuditEntry): string =>
  `${atOf(entry)} ${String(entry.sequence).padStart(6)}  ${entry.origin.who} (${entry.origin.from})  ${subjectOf(entry)}  ${entry.kind}  ${resultOf(entry)}  ${entry.message}`;

/** All pages after a sequence. */
const after = async (client: Client, query: Query, since: number): Promise<AuditList> => {
  const items: AuditEntry[] = [];
  let from = since;
  for (;;) {
    const { value } = await client.get(decodeList, Routes.audit, {
      query: { ...query, since: from, limit: MAX_AUDIT_PAGE },
    });
    items.push(...value.items);
    if (value.next === null) return { ...value, items };
    from = value.next;
  }
};

const audit = async (io: Io, client: Client, options: AuditOptions): Promise<number> => {
  const ref = options.job === undefined ? undefined : jobRef(options.job, options.project ?? "default");
  const { who, host, kind, result, since } = options;
  const query: Query = { who, host, kind, result, project: ref?.project ?? options.project, job: ref?.job };
  const list =
    since === undefined
      ? (await client.get(decodeList, Routes.audit, { query: { ...query, tail: options.tail ?? DEFAULT_TAIL } })).value
      : await after(client, query, since);
  if (options.follow !== true) {
    await printListing(io, options.output, {
      document: list,
      rows: list.items,
      columns,
      wide: [{ title: "CAUSE", value: ({ cause }: AuditEntry) => cause }],
      name: ({ sequence }) => String(sequence),
      empty: "Nobody has changed anything that fits",
    });
    return Exit.ok;
  }
  const asJson = options.output === "json";
  const print = async (items: readonly AuditEntry[]): Promise<void> => {
    for (const entry of items) await io.out.write(`${asJson ? JSON.stringify(entry) : plainLine(lineOf(entry))}\n`);
  };
  await print(list.items);
  let from = list.revision;
  try {
    for (;;) {
      await sleep(POLL_MS, undefined, { signal: io.stop });
      const more = await after(client, query, from);
      await print(more.items);
      // Another scheduler that answers may be a moment behind.
      from = Math.max(from, more.revision);
    }
  } catch (error) {
    if (io.stop.aborted) return Exit.interrupted;
    throw error;
  }
};
