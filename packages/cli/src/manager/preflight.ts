/** Before anything is started: can this machine run it? One message that names every hindrance and what to do about each. */
import { gatherFacts } from "../doctor/facts.ts";
import { judge } from "../doctor/judge.ts";
import { Exit, Failure } from "../failure.ts";
import { LOOPBACK } from "./defaults.ts";

export interface PreflightOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly dataDir: string;
  readonly apiHost: string;
  readonly apiPort: number;
  readonly natsPort: number;
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  readonly manyHosts: boolean;
  readonly nowMs: number;
}

/** First of all, since without it not even the data directory can be looked at. */
export const requireRoot = (command: string): void => {
  if (process.geteuid?.() === 0) return;
  throw new Failure("Berth must be started as root", {
    exit: Exit.forbidden,
    detail: "namespaces, mounts and cgroups are made by root; containers themselves run as unprivileged users",
    next: [`sudo ${command}`],
  });
};

export const preflight = async (options: PreflightOptions): Promise<void> => {
  const facts = await gatherFacts({
    env: options.env,
    dataDir: options.dataDir,
    running: false,
    nowMs: options.nowMs,
    ports: [
      { what: "API", host: options.apiHost, port: options.apiPort },
      { what: "NATS", host: options.listen?.host ?? LOOPBACK, port: options.natsPort },
      ...(options.listen === undefined ? [] : [{ what: "API for other machines", ...options.listen }]),
    ].filter((one) => one.port !== 0),
  });
  const needed = new Set(options.manyHosts ? ["ip", "nsenter"] : []);
  const hindrances = judge(facts).filter(
    (check) => check.status === "bad" || (check.status === "warn" && needed.has(check.id)),
  );
  if (hindrances.length === 0) return;
  throw new Failure(
    hindrances.length === 1
      ? "Berth cannot start on this machine"
      : `Berth cannot start on this machine, for ${hindrances.length} reasons`,
    {
      exit: Exit.unavailable,
      detail: hindrances.map((check) => `${check.id}: ${check.detail}`).join("\n"),
      next: hindrances.flatMap((check) => check.fix ?? []),
    },
  );
};
