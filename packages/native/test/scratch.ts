/** A runtime for programs that are no tests: everything of its own, and nothing left when it is closed. */
import { mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ensureBusyboxRootfs,
  openRuntime,
  readCgroupLayout,
  type CgroupLayout,
  type Container,
  type ContainerSpec,
  type ExitRecord,
  type Runtime,
} from "../lib/index.ts";

/** Where cgroups of a runtime with this layout can be, those that are only made when a limit asks for them included. */
export const mountPoints = ({ hierarchies, onDemand }: CgroupLayout): string[] => [
  ...new Set([...hierarchies, ...onDemand].map(({ path }) => path)),
];

/** A spec with sensible defaults; `serial` gives it an id and a range of ids of its own. */
export const plainSpec = (serial: number, image: string, command: readonly string[]): ContainerSpec => ({
  id: `t${serial}`,
  layers: [image],
  command,
  env: {},
  workdir: "/",
  hostname: "box",
  mounts: [],
  idBase: 1_000_000 + (serial % 60_000) * 65_536,
  limits: { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 64 * 1024 * 1024, pids: 64 },
});

export interface Scratch {
  readonly stateDir: string;
  readonly cgroupParents: readonly string[];
  readonly runtime: Runtime;
  /** Settles with the container, or with nothing when the start failed. */
  start(command: readonly string[]): Promise<Container | undefined>;
  /** Starts, waits and removes. */
  run(command: readonly string[]): Promise<ExitRecord | undefined>;
  close(): Promise<void>;
}

export const openScratch = async (name: string): Promise<Scratch> => {
  const directory = mkdtempSync(join(tmpdir(), `berth-${name}-`));
  const stateDir = join(directory, "state");
  const image = join(directory, "busybox");
  const cgroupParent = `berth-${name}-${process.pid}`;
  const cgroupParents = mountPoints(readCgroupLayout()).map((path) => join(path, cgroupParent));
  await ensureBusyboxRootfs(image);
  const runtime = await openRuntime({ stateDir, cgroupParent });
  let serial = 0;
  const start = async (command: readonly string[]): Promise<Container | undefined> => {
    const result = await runtime.start(plainSpec((serial += 1), image, command));
    return result.ok ? result.value : undefined;
  };
  return {
    stateDir,
    cgroupParents,
    runtime,
    start,
    run: async (command) => {
      const container = await start(command);
      const exit = await container?.exited;
      await container?.remove();
      return exit;
    },
    close: async () => {
      await runtime.close();
      for (const parent of cgroupParents) rmdirSync(parent);
      rmSync(directory, { recursive: true, force: true });
    },
  };
};
