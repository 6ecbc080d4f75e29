/** How much a container may write over its layers: enforced by project quotas, as in the virtual machine of `pnpm test:v2`. */
import { expect, test } from "vitest";
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
  if (process.env["BERTH_V2_VM"] !== undefined) expect(diskLimit).toBeNull();
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

test("a limit that is none is refused by name", async () => {
  const result = await host.runtime.start(host.spec(["true"], { diskBytes: -1 }));
  expect(result).toMatchObject({ ok: false, error: { detail: expect.stringContaining("diskBytes") } });
});
