// Volumes through real containers: what stays, what is shared, what is refused, and what kill -9 of the agent cannot undo.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  IMAGE_CHUNK_BYTES,
  volumeImportId,
  VOLUME_SIZES_NOT_ENFORCED,
  type AllocationId,
  type Chunk,
  type DesiredVolume,
  type ImageRequest,
  type JobSpec,
  type VolumeFill,
} from "@berth/schema";
import type { AgentProcess } from "./testing/agent-process.ts";
import { startCluster, type TestCluster } from "./testing/cluster.ts";
import { eventually } from "./testing/eventually.ts";
import { testSpec } from "./testing/fake-scheduler.ts";

const folder = mkdtempSync(join(tmpdir(), "berth-host-path-"));
mkdirSync(join(folder, "allowed", "deep"), { recursive: true });
mkdirSync(join(folder, "secret"));
symlinkSync("../secret", join(folder, "allowed", "link"));

let made: TestCluster;
let agent: AgentProcess;
beforeAll(async () => {
  const flags = [join(folder, "allowed"), `other=${join(folder, "secret")}`].flatMap((path) => ["--host-path", path]);
  made = await startCluster(flags);
  agent = await made.startAgent();
});
afterAll(async () => {
  await made.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Each test has volumes of its own. */
const stored = (id = ""): string => join(made.dataDir, "volumes", id);

const named = (volume: string, more: Partial<Extract<JobSpec["volumes"][number], { volume: string }>> = {}) => ({
  ...{ volume, target: "/data", readOnly: false, shared: false, sizeBytes: 0 },
  ...more,
});
const bound = (name: string, mustExist = false, generation = 5): DesiredVolume => ({
  ...{ name, id: `default.${name}.${generation}`, mustExist },
});
const script = (text: string, more: Partial<JobSpec>) => testSpec(["sh", "-c", text], more);

const ended = async (id: AllocationId) => {
  made.scheduler.publish();
  return await eventually(`the end of ${id}`, () => made.scheduler.end(id));
};
const stdout = (id: AllocationId): Promise<string> => made.scheduler.stdoutOf(id);

describe("a volume", () => {
  test("keeps what a task left, for the next one in another range of ids, also when the agent was killed between", async () => {
    const spec = script("cat /data/log; id -u > /data/owner; echo $BERTH_ATTEMPT >> /data/log; stat -c %u /data/log", {
      volumes: [named("data-${INDEX}")],
    });
    const place = (attempt: number) =>
      made.scheduler.place(spec, { index: 3, attempt, volumes: [bound("data-3", attempt > 1)] });
    const first = place(1);
    expect(await ended(first)).toMatchObject({ exit: { code: 0 } });
    expect(await stdout(first)).toBe("0\n");
    await agent.kill("SIGKILL");
    agent = await made.startAgent();
    const second = place(2);
    expect(await ended(second)).toMatchObject({ exit: { code: 0 } });
    expect(await stdout(second)).toBe("1\n0\n");
  });

  test("is seen by all that mount it, and whoever mounts it for reading cannot write", async () => {
    const all = { volumes: [named("all", { shared: true })] };
    const waiter = script("until [ -e /data/hello ]; do sleep 0.05; done; cat /data/hello", all);
    const reader = script("until [ -e /data/hello ]; do sleep 0.05; done; touch /data/x || cat /data/hello", {
      volumes: [named("all", { readOnly: true })],
    });
    const ids = [waiter, reader, script("echo from-writer > /data/hello", all)].map((spec) =>
      made.scheduler.place(spec, { volumes: [bound("all")] }),
    );
    expect(await Promise.all(ids.map(async (id) => (await ended(id)).exit?.code))).toEqual([0, 0, 0]);
    expect(await Promise.all(ids.slice(0, 2).map((id) => stdout(id)))).toEqual(["from-writer\n", "from-writer\n"]);
  });

  test("that was used and is gone is a failure that says so, not an empty directory", async () => {
    const id = made.scheduler.place(script("true", { volumes: [named("lost")] }), { volumes: [bound("lost", true)] });
    expect(await ended(id)).toMatchObject({
      state: "failed",
      exit: { detail: expect.stringContaining("the volume lost has been used and is not on this host any more") },
    });
    expect(existsSync(stored("default.lost.5"))).toBe(false);
  });

  test("is not removed while something mounts it; afterwards it is, with its data", async () => {
    const spec = script("touch /data/up; until [ -e /data/stop ]; do sleep 0.05; done", { volumes: [named("data")] });
    const task = made.scheduler.place(spec, { volumes: [bound("data")] });
    made.scheduler.publish();
    const directory = stored("default.data.5");
    await eventually("the task runs", () => existsSync(join(directory, "data", "up")));
    const remove = () => made.scheduler.rpc({ kind: "volume_remove", id: "default.data.5" });
    expect(await remove()).toMatchObject({ ok: false, problem: { code: "volume.in_use" } });
    expect(await made.scheduler.rpc({ kind: "volume_stat", id: "default.data.5" })).toMatchObject({
      ok: true,
      value: { entries: 1 },
    });
    writeFileSync(join(directory, "data", "stop"), "");
    await ended(task);
    made.scheduler.publish();
    await eventually("it is removed", async () => (await remove()).ok);
    await eventually("its data is gone", () => readdirSync(stored()).every((name) => !name.includes(".data.")));
    expect(await made.scheduler.rpc({ kind: "volume_stat", id: "default.data.5" })).toMatchObject({
      problem: { code: "volume.not_found" },
    });
  });

  test("with a size takes no more than that, where the file system can tell, and its neighbour is not in its way", async () => {
    const spec = script(
      "df -k /small | tail -1 | awk '{ print $2 }'; for at in /small /large; do dd if=/dev/zero of=$at/x bs=64k count=64 2>/dev/null; stat -c %s $at/x; done",
      { volumes: [named("small", { target: "/small", sizeBytes: 2 ** 21 }), named("beside", { target: "/large" })] },
    );
    const volumes = [{ ...bound("small"), sizeBytes: 2 ** 21 }, bound("beside")];
    const id = made.scheduler.place(spec, { volumes });
    expect(await ended(id)).toMatchObject({ exit: { code: 0 } });
    const [room, small, large] = (await stdout(id)).trim().split("\n").map(Number);
    expect(large).toBe(2 ** 22);
    const enforced = made.scheduler.hellos.at(-1)?.inventory.notEnforced.includes(VOLUME_SIZES_NOT_ENFORCED) === false;
    if (process.env["BERTH_VM"] !== undefined) expect(enforced).toBe(true);
    if (!enforced) expect(small).toBe(2 ** 22);
    else {
      expect(room).toBe(2048);
      expect(small).toBeGreaterThan(2 ** 20);
      expect(small).toBeLessThanOrEqual(2 ** 21);
    }
  });

  test("in memory has the size that it was given, and is empty at each start", async () => {
    const spec = script(
      "ls /mem; dd if=/dev/zero of=/mem/x bs=64k count=64 2>/dev/null; stat -c %s /mem/x; df -k /mem | tail -1",
      {
        container: { mounts: [{ kind: "tmpfs", target: "/mem", sizeBytes: 2 ** 20 }] },
      },
    );
    const id = made.scheduler.place(spec);
    await ended(id);
    expect(await stdout(id)).toMatch(/^1048576\n\S+\s+1024\s/);
  });
});

describe("a path of the host", () => {
  const mount = (source: string, readOnly = false) =>
    script("ls /in && touch /in/x", { volumes: [{ source, target: "/in", readOnly }] });

  test("is mounted only where the operator allows it, and never through a link out of there", async () => {
    const ends = await Promise.all(
      ["allowed/deep", "secret", "allowed/link", "allowed/../secret"].map(async (below) => {
        const end = await ended(made.scheduler.place(mount(`${folder}/${below}`)));
        return [end.state, end.exit?.code, end.exit?.detail ?? ""] as const;
      }),
    );
    expect(ends.map(([state, code]) => [state, code])).toEqual([
      ["exited", 0],
      ["failed", 125],
      ["failed", 125],
      ["failed", 125],
    ]);
    expect(ends[1]?.[2]).toContain("lets project default mount no path like");
    expect(ends[2]?.[2]).toContain("symbolic link");
    expect(ends[3]?.[2]).toContain("is not a plain path");
    expect(readdirSync(join(folder, "secret"))).toEqual([]);
  });
});

describe("an archive of a volume", () => {
  let archives = 0;
  const begin = async (request: ImageRequest, id = `archive-${String((archives += 1)).padStart(10, "0")}`) => {
    const reply = await made.scheduler.rpc({ kind: "image_start", id, request });
    expect(reply).toMatchObject({ ok: true });
    return id;
  };
  const readAt = (id: string, offset: number) => made.scheduler.rpc({ kind: "image_read", id, offset });
  const exported = async (volume: string): Promise<Buffer> => {
    const id = await begin({ kind: "volume_export", volume });
    const parts: Buffer[] = [];
    for (let offset = 0; ; offset += parts.at(-1)?.length ?? 0) {
      const reply = await readAt(id, offset);
      if (!reply.ok) throw new Error(JSON.stringify(reply.problem));
      const { data, done } = reply.value as Chunk;
      parts.push(Buffer.from(data, "base64"));
      if (done) return Buffer.concat(parts);
    }
  };
  const imported = async (volume: string, archive: Buffer, mostBytes: number | null = null) => {
    const id = await begin({ kind: "volume_import", volume, mostBytes }, volumeImportId(volume));
    for (let offset = 0; offset < archive.length; offset += IMAGE_CHUNK_BYTES) {
      const piece = archive.subarray(offset, offset + IMAGE_CHUNK_BYTES);
      const data = piece.toString("base64");
      const last = offset + piece.length >= archive.length;
      const reply = await made.scheduler.rpc({ kind: "image_write", id, offset, data, last });
      if (!reply.ok) break;
    }
    return await eventually("the import to be over", async () => {
      const reply = await made.scheduler.rpc({ kind: "volume_filling", id: volume });
      const fill = reply.ok ? (reply.value as VolumeFill) : undefined;
      return fill?.state === "copying" ? undefined : fill;
    });
  };
  const tarOf = (script: string, ...flags: string[]): Buffer => {
    const from = mkdtempSync(join(folder, "archive-"));
    execFileSync("sh", ["-c", script], { cwd: from });
    const words = ["-c", "-P", ...flags, "-C", from, "-f", "-", ...readdirSync(from)];
    return execFileSync("tar", words, { maxBuffer: 2 ** 26 });
  };

  test("is the same volume elsewhere, whoever owns what in it", async () => {
    const fill =
      "chown 999:998 /data; echo one > /data/file; ln /data/file /data/same; chown 70 /data/file; head -c 2000000 /dev/urandom > /data/large; sha256sum /data/large";
    const first = made.scheduler.place(script(fill, { volumes: [named("source")] }), { volumes: [bound("source")] });
    expect(await ended(first)).toMatchObject({ exit: { code: 0 } });
    expect(await imported("default.target.6", await exported("default.source.5"))).toEqual({
      state: "ready",
      error: null,
    });
    const look = "stat -c %u:%g /data; cat /data/same; stat -c %u:%h /data/file; sha256sum /data/large";
    const again = script(look, { volumes: [named("target")] });
    const second = made.scheduler.place(again, { volumes: [bound("target", true, 6)] });
    await ended(second);
    expect(await stdout(second)).toBe(`999:998\none\n70:2\n${await stdout(first)}`);
  });

  test("is of one moment: not while somebody writes, and given up when somebody begins to", async () => {
    const spec = (text: string) => script(text, { volumes: [named("moment")] });
    const large = made.scheduler.place(spec("head -c 9000000 /dev/zero > /data/large"), { volumes: [bound("moment")] });
    await ended(large);
    const reading = await begin({ kind: "volume_export", volume: "default.moment.5" });
    expect(await readAt(reading, 0)).toMatchObject({ ok: true });
    expect(await made.scheduler.rpc({ kind: "volume_remove", id: "default.moment.5" })).toMatchObject({
      problem: { code: "volume.in_use", detail: expect.stringContaining("is being exported") },
    });
    const writer = made.scheduler.place(spec("touch /data/up; until [ -e /data/stop ]; do sleep 0.05; done"), {
      volumes: [bound("moment")],
    });
    made.scheduler.publish();
    const directory = join(stored("default.moment.5"), "data");
    await eventually("the writer runs", () => existsSync(join(directory, "up")));
    let broken = await readAt(reading, IMAGE_CHUNK_BYTES);
    for (let at = 2; broken.ok; at += 1) broken = await readAt(reading, at * IMAGE_CHUNK_BYTES);
    expect(broken).toMatchObject({ problem: { detail: expect.stringContaining("begins to write moment") } });
    const late = await begin({ kind: "volume_export", volume: "default.moment.5" });
    expect(await readAt(late, 0)).toMatchObject({ ok: false, problem: { code: "volume.in_use" } });
    writeFileSync(join(directory, "stop"), "");
    await ended(writer);
  });

  test("that wants out, or has more in it than it may, leaves nothing behind and says which entry it was", async () => {
    const evil = tarOf("echo x > fine; echo x > last", "--transform", "s,^last,../../evil,");
    expect(await imported("default.evil.7", evil)).toEqual({
      state: "failed",
      error: "../../evil: its name leads upwards",
    });
    const large = tarOf("head -c 100000 /dev/zero > large");
    expect(await imported("default.large.8", large, 50_000)).toMatchObject({
      state: "failed",
      error: expect.stringContaining("large: all files together have more than 50000 bytes"),
    });
    expect(readdirSync(stored()).filter((name) => /evil|large/.test(name))).toEqual([]);
  });

  test("that is given up halfway is no volume", async () => {
    const volume = "default.half.9";
    const id = await begin({ kind: "volume_import", volume, mostBytes: null }, volumeImportId(volume));
    const filling = () => made.scheduler.rpc({ kind: "volume_filling", id: volume });
    const data = tarOf("head -c 100000 /dev/zero > file").subarray(0, 51_200).toString("base64");
    const write = (offset: number) => made.scheduler.rpc({ kind: "image_write", id, offset, data, last: false });
    expect(await write(0)).toMatchObject({ ok: true });
    expect(await filling()).toMatchObject({ value: { state: "copying" } });
    expect(await made.scheduler.rpc({ kind: "volume_remove", id: volume })).toMatchObject({ ok: true });
    expect(await eventually("it is over", filling)).toMatchObject({ value: { state: "failed" } });
    expect(await write(51_200)).toMatchObject({ ok: false, problem: { detail: "it was cancelled" } });
    expect(readdirSync(stored()).filter((name) => name.includes("half"))).toEqual([]);
  });
});
