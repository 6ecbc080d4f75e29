/**
 * Under emulation the whole suite takes a quarter of an hour on a machine that does nothing else, and an hour on one that is
 * slow and busy. Whoever has that long only says until when (BERTH_TEST_UNTIL_MS, milliseconds since 1970): what has not
 * begun by then is skipped, and marked as such, so that the report can name it.
 */
import { beforeEach } from "vitest";

declare module "vitest" {
  interface TaskMeta {
    /** It was not begun: the time was up. */
    late?: true;
  }
}

const untilMs = Number(process.env["BERTH_TEST_UNTIL_MS"] ?? Number.POSITIVE_INFINITY);

beforeEach(({ skip, task }) => {
  if (Date.now() < untilMs) return;
  task.meta.late = true;
  skip("the time was up");
});
