/** How much a container may write over its layers, and into what is mounted: project quotas, as in the machine of `pnpm test:v2`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { canLimitTrees, limitTree } from "../lib/index.ts";
import { testHost } from "./host.ts";

const host = testHost();
const MiB = 2 ** 20;
const FILL = "dd if=/dev/zero of=/big bs=64k count=128 2>/dev/null; stat -c %s /big";

test("what it writes ends at its limit, where the host says so, and not before; without one there is none", async () => {
  const { diskLimit } = host.runtime.features();
  const free = await host.sh(FILL);
  expect(Number(free.stdout)).toBe(8 * MiB);
  const limited = Number((await host.sh(FILL, { diskBytes: 2 * MiB })).stdout);
  // The machine's disk has them.
  if (process.env["BERTH_VM"] !== undefined) expect(diskLimit).toBeNull();
  if (diskLimit !== null) {
    expect(diskLimit).toContain("prjquota");
    expect(limited).toBe(8 * MiB);
    return;
  }
  expect(limited).toBeGreaterThan(MiB);
  expect(limited).toBeLessThanOrEqual(2 * MiB);
});

test("each has its own, also of what it copies up, moves and deletes", async () => {
  const script = `${FILL}; rm /big; mkdir /a /b; echo x > /a/x; mv /a/x /b/y; mv /b /c; echo y >> /etc/passwd; cat /c/y; ${FILL}`;
  const both = await Promise.all([1, 2].map(() => host.sh(script, { diskBytes: 4 * MiB })));
  const isLimited = host.runtime.features().diskLimit === null;
  for (const { exit, stdout } of both) {
    const [first, moved, second] = stdout.trim().split("\n");
    expect([moved, exit.code]).toEqual(["x", 0]);
    for (const size of [first, second].map(Number)) {
      expect(size).toBeLessThanOrEqual(isLimited ? 4 * MiB : 8 * MiB);
      expect(size).toBeGreaterThan(3 * MiB);
    }
  }
});

test("so do files that are empty: a disk has only so many", async () => {
  const script =
    "mkdir /many; cd /many; seq 1 5000 | xargs -n 2000 touch 2>/dev/null; ls | wc -l; rm -r /many; touch /one && echo goes on";
  const { stdout } = await host.sh(script, { diskBytes: 4 * MiB });
  const [files, after] = stdout.trim().split("\n");
  expect(after).toBe("goes on");
  if (host.runtime.features().diskLimit !== null) expect(Number(files)).toBe(5_000);
  else {
    expect(Number(files)).toBeGreaterThan(4_000);
    expect(Number(files)).toBeLessThan(4_096);
  }
});

test("a limit that is none is refused by name", async () => {
  const result = await host.runtime.start(host.spec(["true"], { diskBytes: -1 }));
  expect(result).toMatchObject({ ok: false, error: { detail: expect.stringContaining("diskBytes") } });
});

describe("a directory with a limit, mounted into containers", () => {
  const limited = async (name: string, bytes: number) => {
    const path = join(host.directory, name);
    mkdirSync(path, { recursive: true });
    const handle = await open(path, "r");
    try {
      expect(canLimitTrees(handle.fd)).toBe(host.runtime.features().diskLimit === null);
      return { path, result: await limitTree(handle.fd, bytes) };
    } finally {
      await handle.close();
    }
  };
  const dd = "dd if=/dev/zero bs=64k count=128";

  test("takes no more from any of them, root or not, and its neighbour takes what it may", async () => {
    const small = await limited("small", 2 * MiB);
    const large = await limited("large", 16 * MiB);
    if (host.runtime.features().diskLimit !== null) {
      for (const { result } of [small, large])
        expect(result).toMatchObject({ ok: false, error: { stage: "rootfs.quota" } });
      return;
    }
    expect([small.result.ok, large.result.ok]).toEqual([true, true]);
    const mounts = [small, large].map(({ path }, at) => ({ source: path, target: `/v${at}`, readOnly: false }));
    const script = `mkdir -m 777 /v0/deep; ${dd} of=/v0/deep/a; ${dd} of=/v0/b; stat -c %s /v0/deep/a; stat -c %s /v0/b; ${dd} of=/v1/x 2>/dev/null; stat -c %s /v1/x; df -k /v0 | tail -1 | awk '{ print $2 }'`;
    const first = await host.sh(script, { mounts });
    const [a, b, neighbour, seen] = first.stdout.trim().split("\n").map(Number);
    expect(a).toBeGreaterThan(MiB);
    expect((a ?? 0) + (b ?? 0)).toBeLessThanOrEqual(2 * MiB);
    expect([neighbour, seen]).toEqual([8 * MiB, 2048]);
    expect(first.stderr).toMatch(/quota exceeded|No space left/i);
    const second = await host.sh(
      `${dd} of=/v0/deep/c 2>/dev/null; rm -rf /v0/deep /v0/b; ${dd} of=/v0/d; stat -c %s /v0/d`,
      {
        mounts,
      },
    );
    // What another one left counts, and what is deleted does not.
    expect(Number(second.stdout)).toBeGreaterThan(MiB);
    expect(Number(second.stdout)).toBeLessThanOrEqual(2 * MiB);
  });

  test("and with more in it than that is told, though root of the host may put it there", async () => {
    const { path, result } = await limited("beyond", MiB);
    if (host.runtime.features().diskLimit !== null) return;
    expect(result.ok).toBe(true);
    writeFileSync(join(path, "file"), Buffer.alloc(2 * MiB, 1));
    expect((await limited("beyond", MiB)).result).toMatchObject({
      ok: false,
      error: {
        code: "EDQUOT",
        detail: expect.stringMatching(/^it holds 2\d{6} bytes, more than the 1048576 that it may$/),
      },
    });
    expect((await limited("beyond", 4 * MiB)).result).toMatchObject({ ok: true });
  });
});
