/**
 * Death at any instant. An agent is a process of its own here and is killed for real; so are supervisors. What must
 * hold: a container outlives its agent, is found again with the same pid, its exit is never lost, and none runs twice.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openRuntime, type AdoptedContainer, type ContainerSpec, type Runtime } from "../lib/index.ts";
import { agentScript } from "./built-agent.ts";
import { eventually, isAlive, outputOf, processesWith, processExists, slow, supervisorOf, testHost } from "./host.ts";

const host = testHost();
const agents: ChildProcess[] = [];
let stateDir = "";
const runtimes: Runtime[] = [];
let serial = 0;

beforeEach(() => {
  serial += 1;
  stateDir = join(host.directory, `crash-${serial}`);
});
afterEach(async () => {
  for (const agent of agents.splice(0)) agent.kill("SIGKILL");
  for (const runtime of runtimes.splice(0)) await runtime.close();
});

const open = async (): Promise<Runtime> => {
  const runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent });
  runtimes.push(runtime);
  return runtime;
};

interface Said {
  readonly id: string;
  readonly pid?: number | null;
}

/** Starts an agent with these containers; `said` yields a line for each start, then "all". */
const agentWith = (
  specs: readonly ContainerSpec[],
  execute?: readonly string[],
): { readonly agent: ChildProcess; readonly said: AsyncIterable<Said>; readonly kill: () => Promise<void> } => {
  const input = JSON.stringify({ stateDir, cgroupParent: host.cgroupParent, specs, execute });
  const agent = spawn(process.execPath, [agentScript(), input], { stdio: ["ignore", "pipe", "inherit"] });
  agents.push(agent);
  const lines = createInterface({ input: agent.stdout });
  const gone = new Promise<void>((resolve) => agent.once("exit", () => resolve()));
  return {
    agent,
    said: (async function* () {
      for await (const line of lines) yield JSON.parse(line) as Said;
    })(),
    kill: async () => {
      agent.kill("SIGKILL");
      await gone;
    },
  };
};

const startedBy = async (specs: readonly ContainerSpec[], execute?: readonly string[]) => {
  const running = agentWith(specs, execute);
  const pids = new Map<string, number>();
  for await (const line of running.said) {
    if (line.id === "all") break;
    pids.set(line.id, line.pid ?? 0);
  }
  return { ...running, pids };
};

const only = async (runtime: Runtime): Promise<AdoptedContainer> => {
  const found = await runtime.adopt();
  expect(found.length).toBe(1);
  return found[0]!;
};

const removeAll = async (found: readonly AdoptedContainer[]) => {
  for (const item of found) {
    if (item.kind === "running") await item.container.stop({ signal: 9, graceMs: 0 });
    await (item.kind === "never_started" ? item.remove() : item.container.remove());
  }
};

describe("the agent is killed", () => {
  test("the container runs on, is found with the same pid, and its exit arrives", async () => {
    const gate = join(host.directory, `gate-${serial}`);
    mkdirSync(gate);
    const spec = host.spec(
      ["sh", "-c", "echo before; while [ ! -e /gate/open ]; do sleep 0.02; done; echo after; exit 33"],
      {
        mounts: [{ source: gate, target: "/gate", readOnly: true }],
      },
    );
    const { kill, pids } = await startedBy([spec]);
    await kill();
    const adopted = await only(await open());
    expect(adopted.kind).toBe("running");
    if (adopted.kind !== "running") return;
    expect(adopted.container.pid).toBe(pids.get(spec.id));
    expect(adopted.container.startedAtMs).not.toBeNull();
    writeFileSync(join(gate, "open"), "");
    expect(await adopted.container.exited).toMatchObject({ code: 33, cause: "exited" });
    expect(await outputOf(adopted.container)).toBe("before\nafter\n");
    await adopted.container.remove();
  });

  test("an exit that nobody was there to see is kept", async () => {
    const spec = host.spec(["sh", "-c", "sleep 0.3; exit 34"]);
    const { kill, pids } = await startedBy([spec]);
    const supervisor = supervisorOf(pids.get(spec.id) ?? 0);
    await kill();
    await eventually(() => !isAlive(supervisor));
    const adopted = await only(await open());
    expect(adopted).toMatchObject({ kind: "ended", exit: { code: 34, cause: "exited" } });
    await removeAll([adopted]);
  });

  test("what it had executed in the container dies with its connection; the next agent can execute again", async () => {
    const spec = host.spec(["sleep", "1000"]);
    const { kill } = await startedBy([spec], ["sleep", "4712"]);
    await eventually(() => processesWith("sleep\u00004712").length === 1);
    await kill();
    await eventually(() => processesWith("sleep\u00004712").length === 0);
    /* With the cgroup that held it to its own limits. */
    const ofPrograms = (): string[] =>
      host.cgroupsOf(spec.id).flatMap((path) => readdirSync(path).filter((name) => name.startsWith("berth-exec-")));
    await eventually(() => ofPrograms().length === 0);
    const runtime = await open();
    const adopted = await only(runtime);
    if (adopted.kind !== "running") throw new Error(adopted.kind);
    const again = await adopted.container.exec({ command: ["sh", "-c", "exit 12"] });
    expect(again.ok && (await again.value.exited).code).toBe(12);
    await removeAll([adopted]);
  });

  test("the next agent can signal, stop and remove", async () => {
    const spec = host.spec(["sleep", "1000"]);
    const { kill } = await startedBy([spec]);
    await kill();
    const runtime = await open();
    const adopted = await only(runtime);
    if (adopted.kind !== "running") throw new Error(adopted.kind);
    expect((await adopted.container.stats()).pids).toBe(2);
    expect(await adopted.container.stop({ signal: 15, graceMs: 5000 })).toMatchObject({ signal: 15 });
    await adopted.container.remove();
    expect(await runtime.adopt()).toEqual([]);
    expect(host.cgroupsOf(spec.id)).toEqual([]);
  });

  test("ctrl-C in the agent's terminal does not reach the container", async () => {
    const spec = host.spec(["sleep", "1000"]);
    const { kill, pids } = await startedBy([spec]);
    const supervisor = supervisorOf(pids.get(spec.id) ?? 0);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.kill(supervisor, signal);
    await kill();
    await sleep(50);
    expect(processExists(pids.get(spec.id) ?? 0)).toBe(true);
    await removeAll([await only(await open())]);
  });

  test("at random instants of many starts: every container is found once, ran at most once, and can be started if it never ran", async () => {
    const journal = join(host.directory, `journal-${serial}`);
    mkdirSync(journal);
    for (let round = 0; round < (slow ? 3 : 8); round += 1) {
      const specs = Array.from({ length: 6 }, () =>
        host.spec(["sh", "-c", "echo x >> /journal/$NAME; sleep 0.05; exit 8"], {
          mounts: [{ source: journal, target: "/journal", readOnly: false }],
        }),
      ).map((spec) => ({ ...spec, env: { NAME: spec.id, PATH: "/bin:/usr/bin" } }));
      const running = agentWith(specs);
      /* The first start is under way a moment after this file appears; the instant of death varies by round. */
      await eventually(() => existsSync(join(stateDir, specs[0]?.id ?? "", "lock")));
      await sleep(round % 6);
      await running.kill();
      const runtime = await open();
      const found = await runtime.adopt();
      for (const spec of specs) {
        const item = found.find((candidate) => candidate.id === spec.id);
        if (item === undefined || item.kind === "never_started") {
          const again = await runtime.start(spec);
          if (!again.ok) throw new Error(`${spec.id}: ${JSON.stringify(again.error)}`);
          expect(await again.value.exited).toMatchObject({ code: 8 });
          await again.value.remove();
        } else {
          expect(await item.container.exited).toMatchObject({ code: 8, cause: "exited" });
          const twice = await runtime.start(spec);
          /* Its supervisor may not have left yet. */
          expect(twice.ok ? "started twice" : twice.error.code).toMatch(/^(EEXIST|EBUSY)$/);
          await item.container.remove();
        }
        expect(readFileSync(join(journal, spec.id), "utf8"), spec.id).toBe("x\n");
      }
      await runtime.close();
    }
  });
});

describe("the supervisor is killed", () => {
  test("its container dies with it, and the loss is told", async () => {
    const marker = "orphan-4713";
    const container = await host.start(["sh", "-c", "sleep 1000 & sleep 1000; true", marker]);
    const pid = container.pid ?? 0;
    const supervisor = supervisorOf(pid);
    expect(processesWith(marker).length).toBeGreaterThan(0);
    process.kill(supervisor, "SIGKILL");
    expect(await container.exited).toMatchObject({ code: 137, signal: null, cause: "supervisor_lost" });
    expect(processExists(pid)).toBe(false);
    expect(processesWith(marker)).toEqual([]);
    expect(host.cgroupsOf(container.id)).toEqual([]);
    await container.remove();
  });

  test("while no agent was there: the next one finds the loss and writes it down", async () => {
    const spec = host.spec(["sleep", "1000"]);
    const { kill, pids } = await startedBy([spec]);
    const pid = pids.get(spec.id) ?? 0;
    const supervisor = supervisorOf(pid);
    await kill();
    process.kill(supervisor, "SIGKILL");
    await eventually(() => !processExists(pid));
    const first = await open();
    expect(await only(first)).toMatchObject({ kind: "ended", exit: { cause: "supervisor_lost" } });
    await first.close();
    const second = await open();
    const adopted = await only(second);
    expect(adopted).toMatchObject({ kind: "ended", exit: { cause: "supervisor_lost" } });
    await removeAll([adopted]);
    expect(host.cgroupsOf(spec.id)).toEqual([]);
  });

  test("a supervisor that stands still is killed when its container is stopped", async () => {
    const container = await host.start(["sleep", "1000"]);
    const supervisor = supervisorOf(container.pid ?? 0);
    process.kill(supervisor, "SIGSTOP");
    const exit = await container.stop({ signal: 15, graceMs: 0 });
    expect(exit.cause).toBe("supervisor_lost");
    expect(processExists(container.pid ?? 0)).toBe(false);
    await container.remove();
  });
});

describe("what is found on disk", () => {
  const directory = (id: string) => {
    mkdirSync(join(stateDir, id), { recursive: true });
    return join(stateDir, id);
  };
  const status = (more: object = {}) =>
    JSON.stringify({
      version: 1,
      state: "running",
      bootId: "00000000-0000-0000-0000-000000000000",
      supervisorPid: 1,
      initPid: 1,
      pid: 1,
      startedAtMs: 1_700_000_000_000,
      cgroupParent: host.cgroupParent,
      ...more,
    });

  test("a status of an earlier boot means that the host went down", async () => {
    writeFileSync(join(directory("rebooted"), "status"), status());
    const adopted = await only(await open());
    expect(adopted).toMatchObject({ kind: "ended", exit: { cause: "host_rebooted", startedAtMs: 1_700_000_000_000 } });
    await removeAll([adopted]);
  });

  /* What a power cut leaves of a file that was written and renamed less than half a minute before. */
  test.each([
    ["is empty", ""],
    ["holds zeros", "\0\0\0\0"],
  ])("a status that %s never reached the disk: the host went down", async (_name, text) => {
    writeFileSync(join(directory("cut"), "status"), text);
    const adopted = await only(await open());
    expect(adopted).toMatchObject({ kind: "ended", exit: { cause: "host_rebooted", startedAtMs: null } });
    await removeAll([adopted]);
  });

  test.each([
    ["an empty directory", {}],
    ["a lock and nothing else", { lock: "" }],
    ["a half-written status", { lock: "", "status.tmp": "{" }],
  ])("%s was never started and may be", async (_name, files: Record<string, string>) => {
    const spec = host.spec(["true"]);
    const path = directory(spec.id);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
    const runtime = await open();
    expect(await only(runtime)).toMatchObject({ kind: "never_started", id: spec.id });
    const result = await runtime.start(spec);
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    expect(await result.value.exited).toMatchObject({ code: 0 });
    await result.value.remove();
  });

  test.each([
    ["nothing", ""],
    ["half a record", '{"version":1,"code":0,'],
    ["another format", '{"version":2,"code":0}'],
    ["nonsense", "\0\0\0\0"],
    [
      "a code out of range",
      '{"version":1,"code":999,"signal":null,"oom":false,"cause":"exited","error":null,"startedAtMs":1,"finishedAtMs":2}',
    ],
  ])("an exit record that holds %s is not believed", async (_name, text) => {
    const path = directory("torn");
    writeFileSync(join(path, "status"), status());
    writeFileSync(join(path, "exit"), text);
    const adopted = await only(await open());
    expect(adopted).toMatchObject({ kind: "ended", exit: { cause: "host_rebooted" } });
    await removeAll([adopted]);
  });

  test("half-deleted directories and foreign files disturb nobody", async () => {
    mkdirSync(join(directory(".trash-t9-1-2"), "upper"), { recursive: true });
    mkdirSync(join(stateDir, "Not An Id"));
    writeFileSync(join(stateDir, "README"), "hello");
    expect(await (await open()).adopt()).toEqual([]);
    rmSync(join(stateDir, "README"));
  });

  test("a state directory belongs to one runtime at a time", async () => {
    const first = await open();
    await expect(openRuntime({ stateDir, cgroupParent: host.cgroupParent })).rejects.toThrow(/in use by another agent/);
    await first.close();
    await open();
  });
});
