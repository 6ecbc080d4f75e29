/** What a page says of a button that its token may not use. */
import { expect, test } from "vitest";
import type { ProjectName, Self } from "@berth/schema";
import { rightsRefusal } from "./rights.ts";

const media = "media" as ProjectName;
const self = (more: Partial<Self>): Self => ({
  ...{ name: "ann", id: null, role: "viewer", projects: null, via: "session", expiresAtMs: null },
  ...more,
});

test.each([
  ["nothing is known yet", undefined, undefined],
  ["an older scheduler does not say", self({}), undefined],
  ["the role may not", self({ may: [] }), "ann has the role viewer, which may not do this"],
  ["it may", self({ role: "submitter", may: ["POST /stop"] }), undefined],
  [
    "it may elsewhere",
    self({ role: "submitter", may: ["POST /stop"], projects: ["web" as ProjectName] }),
    "ann may do this in web only",
  ],
  ["it may here", self({ role: "submitter", may: ["POST /stop"], projects: [media] }), undefined],
])("%s", (_what, known, sentence) => {
  expect(rightsRefusal(known, "/stop", media)).toBe(sentence);
});
