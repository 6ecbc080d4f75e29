/**
 * `berth join` on a machine that systemd runs: a virtual one, with a kernel, a disk and a power plug of its own. Its agent
 * is a service that starts at every boot and comes back from every death, and containers are none of it. Takes minutes
 * under emulation, so it is a command of its own, `pnpm test:systemd`.
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { renderUsers } from "../packages/scheduler/src/adapters/embedded-nats/config.ts";
import { createUserSeed, publicKeyOfSeed } from "../packages/scheduler/src/adapters/nats/connection.ts";
import { Cluster, eventually, freePort, ROOT } from "./support/index.ts";
import { VirtualMachine } from "./support/virtual-machine.ts";

const MINUTES = 60_000;
const HOST = "virtual";
const UNIT = "berth-agent.service";
/** Its process is found by it, in the machine and in nothing else. */
const PROGRAM = ["sleep", "271828"];
/** Under emulation programs start some thirty times slower than they do. */
const SLOW_MS = 5 * MINUTES;

const began = performance.now();
const tell = (what: string): void =>
  void process.stderr.write(`${((performance.now() - began) / 1000).toFixed(0)} s: ${what}\n`);

describe.runIf(process.env["BERTH_SYSTEMD"] === "1")("a machine that systemd runs", () => {
  const cluster = new Cluster();
  const [a = 0, b = 0] = randomBytes(2);
  /** The other machine finds this one at any address that it has; the certificates name this one. */
  const address = `198.19.${a}.${b}`;
  let machine: VirtualMachine;
  let listen: readonly string[] = [];
  let started: Awaited<ReturnType<Cluster["up"]>>;

  const up = async (): Promise<void> => {
    started = await cluster.up(...listen);
    await started.ready();
  };
  const berth = (...args: readonly string[]): string =>
    `${process.execPath} ${ROOT}packages/cli/bin/berth.mjs ${args.join(" ")}`;
  const property = async (name: string): Promise<string> =>
    (await machine.must(`systemctl show --value --property ${name} ${UNIT}`)).trim();
  const containers = async (): Promise<string> =>
    (await machine.run(`pgrep -x -f '${PROGRAM.join(" ")}'`)).output.trim();
  const running = (): Promise<string> =>
    eventually("the container runs", async () => /^\d+$/.exec(await containers())?.[0], SLOW_MS);
  const isReady = (): Promise<boolean> =>
    eventually(
      "the host is ready",
      async () => (await cluster.hosts()).some((host) => host.id === HOST && host.state === "ready"),
      SLOW_MS,
    );
  const task = () =>
    eventually(
      "its task is said to run",
      async () => {
        const left = (await cluster.allocations("&job=lasting")).filter(({ state }) => state === "running");
        return left.length === 1 && left[0];
      },
      SLOW_MS,
    );

  beforeAll(async () => {
    execFileSync("ip", ["address", "add", `${address}/32`, "dev", "lo"]);
    listen = ["--listen", address, "--listen-port", `${await freePort()}`];
    machine = new VirtualMachine(ROOT);
    await Promise.all([up(), machine.boot()]);
    tell("systemd has booted");
  }, 10 * MINUTES);
  afterAll(async () => {
    await machine?.close();
    const left = await cluster.close();
    execFileSync("ip", ["address", "delete", `${address}/32`, "dev", "lo"]);
    expect(left).toEqual([]);
  });

  test("a nats-server of a cluster is a service, as deploy/nats has it", { timeout: 10 * MINUTES }, async () => {
    const users = renderUsers(publicKeyOfSeed(createUserSeed(), "a key of the test"), []);
    const deploy = `${ROOT}deploy/nats`;
    await machine.must(
      [
        "set -e",
        `sh ${deploy}/make-certificates.sh /etc/berth-nats n1 127.0.0.1`,
        `cp ${deploy}/nats-server.conf /etc/berth-nats`,
        `sed s/192.0.2.[123]/127.0.0.1/g ${deploy}/berth-nats.env.example > /etc/berth-nats/berth-nats.env`,
        `echo ${Buffer.from(users).toString("base64")} | base64 -d > /etc/berth-nats/users.conf`,
        `cp ${deploy}/berth-nats.service /etc/systemd/system`,
        "systemctl daemon-reload",
        "systemctl enable --now berth-nats.service",
      ].join("\n"),
    );
    const says = `require("node:net").connect(4640, "127.0.0.1").once("data", (text) => { process.stdout.write(text); process.exit(); })`;
    const info = (): Promise<string> =>
      eventually(
        "it answers",
        async () => /^INFO (\{.*\})/.exec((await machine.run(`${process.execPath} -e '${says}'`)).output)?.[1],
        SLOW_MS,
      );
    expect(JSON.parse(await info())).toMatchObject({ server_name: "n1", tls_required: true, auth_required: true });
    const pid = await machine.must("cat /run/berth-nats/server.pid");
    expect(await machine.must("systemctl show --value --property MainPID berth-nats.service")).toBe(pid);
    await machine.must("systemctl reload berth-nats.service");
    await machine.must("systemctl kill --kill-who=main --signal=KILL berth-nats.service");
    await eventually(
      "systemd has started it again",
      async () =>
        ![pid, "0"].includes(await machine.must("systemctl show --value --property MainPID berth-nats.service")),
      SLOW_MS,
    );
    expect(JSON.parse(await info())).toMatchObject({ server_name: "n1" });
    await machine.must("systemctl disable --now berth-nats.service");
    tell("the server of a cluster was started, killed and started again");
  });

  test(
    "its agent is a service: started by the join, again after a kill, at every boot",
    { timeout: 45 * MINUTES },
    async () => {
      const line = (await cluster.must(["token", "create"])).trim().replace(/^berth join /, "");
      expect(await machine.must(berth("join", line, "--host", HOST))).toContain(`runs as ${UNIT}`);
      expect(await machine.must(`systemctl is-enabled ${UNIT}; systemctl is-active ${UNIT}`)).toBe("enabled\nactive");
      expect(await machine.must(`systemd-analyze verify --man=no ${UNIT}`)).toBe("");
      await isReady();
      const first = await property("MainPID");
      expect(await machine.must(`cat /proc/${first}/oom_score_adj`)).toBe("-900");
      tell("it has joined");

      await cluster.submit({
        name: "lasting",
        kind: "service",
        image: "builtin://busybox",
        command: PROGRAM,
        placement: { require: [`host.id == "${HOST}"`] },
        // However slow the emulation is, nobody gives it up.
        disconnect: { after: "1h" },
      });
      const { id } = await task();
      const container = await running();
      expect(await machine.must(`cat /proc/${container}/cgroup`)).not.toContain("berth-agent.service");
      tell("a container runs");

      await machine.must(`systemctl kill --kill-who=main --signal=KILL ${UNIT}`);
      await eventually(
        "systemd has started the agent again",
        async () => Number(await property("NRestarts")) > 0 && !["0", first].includes(await property("MainPID")),
        SLOW_MS,
      );
      await isReady();
      expect(await running()).toBe(container);
      tell("it came back from kill -9");

      await machine.must(`systemctl stop ${UNIT}`);
      expect((await machine.run(`systemctl is-active ${UNIT}`)).output.trim()).toBe("inactive");
      expect(await containers()).toBe(container);
      // The line is used, but it is this machine that has used it.
      expect(await machine.must(berth("join", line))).toContain(`is host ${HOST} of cluster`);
      await isReady();
      expect([await running(), (await task()).id]).toEqual([container, id]);
      tell("the service was stopped, and the container was not");

      /* The plug is pulled while nobody leads: what it was told last is what it does at its next boot. */
      await machine.must("sync");
      const boot = await machine.must("cat /proc/sys/kernel/random/boot_id");
      await machine.cut();
      expect(await cluster.cli(["down"])).toMatchObject({ code: 0 });
      await machine.boot();
      expect(await machine.must("cat /proc/sys/kernel/random/boot_id")).not.toBe(boot);
      await running();
      expect(await machine.must(`systemctl is-active ${UNIT}`)).toBe("active");
      tell("after a power cut it has taken up its last assignment, cut off");
      await up();
      await isReady();
      await task();
      expect(await containers()).toMatch(/^\d+$/);
      tell("it is back in the cluster");

      await machine.shutDown();
      await machine.boot();
      await isReady();
      await task();
      await running();
      tell("a reboot in order, and it runs again");

      await cluster.must(["stop", "lasting"]);
      await eventually("nothing of it is left", async () => (await containers()) === "", SLOW_MS);
      await cluster.must(["host", "remove", HOST]);
    },
  );
});
