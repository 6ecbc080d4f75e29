import { describe, expect, test } from "vitest";
import { fakeIo } from "../testing/fake-io.ts";
import { jobView } from "../testing/samples.ts";
import type { Followed } from "./layers.ts";
import { createProgress } from "./progress.ts";
import { endLine, progressLine } from "./progress-text.ts";

const array = (running: number, succeeded: number) =>
  jobView({
    document: { name: "thumbs", array: { size: 40 } },
    tasks: { running, succeeded, pending: 40 - running - succeeded },
    pendingReason: "thumbs[9] waits for its turn",
  });

describe("progress", () => {
  test("is a picture and counts", () => {
    expect(progressLine(array(4, 10))).toBe(
      "thumbs  ██████──────────────────  10 of 40 · 4 running, 26 pending, 10 succeeded",
    );
  });

  test("gives the reason only when nothing moves", () => {
    expect(progressLine(array(0, 0))).toBe(
      "thumbs  ────────────────────────  0 of 40 · 40 pending · thumbs[9] waits for its turn",
    );
  });

  test("of a service is how many run", () => {
    const service = jobView({
      document: { name: "ticker", kind: "service", replicas: 3 },
      tasks: { running: 2, starting: 1 },
    });
    expect(progressLine(service)).toBe("ticker  ████████████████────────  2 of 3 · 2 running, 1 starting");
  });

  test("of one task is a word", () => {
    expect(progressLine(jobView({ tasks: { starting: 1 } }))).toBe("hello: starting");
  });

  test("without a terminal is a line for each tenth, not for each change", async () => {
    const io = fakeIo();
    const progress = createProgress(io);
    for (let done = 0; done <= 40; done += 1) await progress.update(array(Math.min(1, 40 - done), done));
    const lines = io.errText().trimEnd().split("\n");
    expect(lines).toHaveLength(11);
    expect(lines[1]).toBe("thumbs: 4 of 40 · 1 running, 35 pending, 4 succeeded");
  });

  test("on a terminal is one line that fits it, and is gone when it is cleared", async () => {
    const io = fakeIo({ tty: true, columns: 40 });
    const progress = createProgress(io);
    await progress.update(array(4, 10));
    await progress.clear();
    expect(io.errText()).toBe("\r\u001b[2Kthumbs  ██████──────────────────  10 o…\r\u001b[2K");
  });

  test("gives way to the layers of images that are brought for it, and comes back", async () => {
    const digest = `sha256:${"ab".repeat(32)}`;
    const layer = { digest, phase: "fetching", doneBytes: 2 ** 20, totalBytes: 2 ** 21 } as const;
    const pulled: Followed[] = [{ host: "oak", operation: { kind: "pull", state: "running", layers: [layer] } }];
    const io = fakeIo({ tty: true, columns: 80 });
    const progress = createProgress(io);
    const drawn = (): string => io.errText().split("\u001b[2K").at(-1) ?? "";
    await progress.update(array(4, 10));
    await progress.bringing(pulled);
    await progress.update(array(4, 11));
    expect(drawn()).toBe(
      "oak: pull, 0 of 1 layers\n  abababababab  ████████████────────────  fetching 1 MiB of 2 MiB\n",
    );
    await progress.bringing([]);
    await progress.update(array(4, 12));
    expect(drawn()).toContain("12 of 40");

    const piped = fakeIo();
    const lines = createProgress(piped);
    for (let count = 0; count < 3; count += 1) await lines.bringing(pulled);
    expect(piped.errText()).toBe("oak: abababababab fetching (2 MiB)\n");

    for (const silent of [fakeIo(), fakeIo({ tty: true, columns: 80 })]) {
      const none = createProgress(silent, true);
      await none.update(array(4, 10));
      await none.bringing(pulled);
      await none.clear();
      expect(silent.errText()).toBe("");
    }
  });

  test("ends with a sentence", () => {
    expect(endLine(jobView({ state: "failed", exitCode: 137, tasks: { failed: 1 }, finishedAtMs: 912_300 }))).toBe(
      "hello failed in 12.3s with exit code 137",
    );
    expect(
      endLine(
        jobView({
          document: { name: "thumbs", array: { size: 3 } },
          state: "succeeded",
          exitCode: 0,
          tasks: { succeeded: 3 },
          finishedAtMs: 900_500,
        }),
      ),
    ).toBe("thumbs succeeded in 500ms: 3 succeeded");
  });
});
