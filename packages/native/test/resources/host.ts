/** What the tests of limits share: the probe program in a layer, and the files of a container's cgroups. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll } from "vitest";
import type { Container, ContainerSpec, Resources } from "../../lib/index.ts";
import type { Controller } from "../../lib/cgroup-layout.ts";
import { compileC, eventually, layout, outputOf, testHost, type TestHost } from "../host.ts";

export const MIB = 1024 * 1024;
const all = [...layout.hierarchies, ...layout.onDemand];

export interface ResourceTest {
  readonly host: TestHost;
  readonly layers: () => readonly string[];
  start(command: readonly string[], limits: Partial<Resources>, more?: Partial<ContainerSpec>): Promise<Container>;
  /** Starts, lets `use` look at it, and takes it away whatever happened. */
  running(
    command: readonly string[],
    limits: Partial<Resources>,
    use: (container: Container) => Promise<void>,
  ): Promise<void>;
  /** The text of a control file, v1's or v2's. */
  read(id: string, controller: Controller, v1: string, v2?: string): string;
}

export const basic: Resources = { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 64 * MIB, pids: 64 };

export const resourceTest = (): ResourceTest => {
  const host = testHost();
  const layer = join(host.directory, "probe-layer");
  beforeAll(() => {
    mkdirSync(join(layer, "bin"), { recursive: true });
    compileC(readFileSync(new URL("probe.c", import.meta.url), "utf8"), join(layer, "bin/probe"));
  });
  const start: ResourceTest["start"] = async (command, limits, more = {}) =>
    await host.start(command, { layers: [layer, host.image], limits: { ...basic, ...limits }, ...more });
  return {
    host,
    layers: () => [layer, host.image],
    start,
    running: async (command, limits, use) => {
      const container = await start(command, limits);
      try {
        await use(container);
      } finally {
        await container.stop({ signal: 9, graceMs: 0 });
        await container.remove();
      }
    },
    read: (id, controller, v1, v2 = v1) => {
      const hierarchy = hierarchyOf(controller);
      const file = hierarchy.version === 1 ? v1 : v2;
      return readFileSync(join(hierarchy.path, host.cgroupParent, id, file), "utf8").trim();
    },
  };
};

export const hierarchyOf = (controller: Controller) => {
  const found = all.find(({ controllers }) => controllers.includes(controller));
  if (found === undefined) throw new Error(`this host has no ${controller} controller`);
  return found;
};
export const versionOf = (controller: Controller): 1 | 2 | undefined =>
  all.find(({ controllers }) => controllers.includes(controller))?.version;

/** The number after a word in a file of "word number" lines. */
export const fieldOf = (text: string, word: string): number =>
  Number(new RegExp(`^${word} (\\d+)`, "m").exec(text)?.[1] ?? Number.NaN);

/** What it has written to stdout, once that is a whole line. */
export const firstLine = async (container: Container): Promise<string> => {
  let text = "";
  await eventually(async () => (text = await outputOf(container)).includes("\n"));
  return text.split("\n")[0] ?? "";
};

/** Fails with the reason instead of going on with half of it. */
export const updated = async (container: Container, limits: Partial<Resources>): Promise<void> => {
  const result = await container.update({ ...basic, ...limits });
  if (!result.ok) throw new Error(JSON.stringify(result.error));
};

/** Lets a `probe await /tmp/go …` go on. */
export const go = (container: Container): void => writeFileSync(`/proc/${container.pid}/root/tmp/go`, "");
