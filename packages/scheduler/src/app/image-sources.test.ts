import { expect, test } from "vitest";
import {
  err,
  ok,
  problem,
  type HostId,
  type ImageDetail,
  type ImageDetails,
  type Problem,
  type Result,
} from "@berth/schema";
import { someOf } from "./agent-images.ts";
import { chooseSource, createImageSources } from "./image-sources.ts";

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
const hosts = (...names: string[]): HostId[] => names as HostId[];
const [one, two, three] = hosts("one", "two", "three") as [HostId, HostId, HostId];
const detail = (more: Partial<ImageDetail> = {}): ImageDetail => ({
  name: "oci://local/app:1",
  source: "import",
  manifest: digest("a"),
  config: digest("b"),
  architecture: "amd64",
  command: [],
  env: {},
  workdir: "/",
  user: "",
  stopSignal: null,
  layers: [{ digest: digest("c"), diffId: digest("d"), archiveBytes: 1, sizeBytes: 1, archiveHere: true }],
  usedBy: [],
  broughtAtMs: 1,
  usedAtMs: 1,
  ...more,
});
const request = (letter: string) => ({
  session: "0123456789abcdef",
  image: "oci://local/app:1",
  digest: digest(letter),
  offset: 0,
});

/** A cluster whose hosts have these images. */
const sourcesOf = (items: ImageDetails["items"], silent: readonly HostId[] = []) => {
  const asked: string[] = [];
  const introduced: [HostId, string][] = [];
  let answer: Result<ImageDetails, Problem> = ok({ items });
  const sources = createImageSources(
    {
      inspect: (image) => {
        asked.push(image);
        return Promise.resolve(answer);
      },
    },
    (host, op, replyTo) => {
      if (silent.includes(host)) return false;
      introduced.push([host, `${op.kind} for ${replyTo}`]);
      return true;
    },
  );
  return {
    sources,
    asked,
    introduced,
    answerWith: (next: Result<ImageDetails, Problem>) => {
      answer = next;
    },
  };
};

test("an image is offered only by hosts that have all of its archives; an import before anything else, then the newest", () => {
  const layers = detail().layers.map((layer) => ({ ...layer, archiveHere: false }));
  expect(chooseSource([{ host: one, image: detail({ layers }) }])).toBeUndefined();
  const chosen = chooseSource([
    { host: three, image: detail({ manifest: digest("e"), source: "registry", broughtAtMs: 9 }) },
    { host: two, image: detail({ manifest: digest("f"), broughtAtMs: 5 }) },
    { host: one, image: detail({ broughtAtMs: 3 }) },
  ]);
  expect(chosen).toMatchObject({ manifest: digest("f"), imported: true, givers: [two] });
});

test("nobody is told that it could read from itself", async () => {
  const { sources } = sourcesOf([{ host: one, image: detail() }]);
  expect(await sources.find(one, "oci://local/app:1")).toEqual(ok({ found: null }));
  expect(await sources.find(two, "oci://local/app:1")).toEqual(
    ok({ found: { manifest: digest("a"), imported: true } }),
  );
});

test("readers take turns among givers, pass over silent ones, and hosts are asked once for many pieces", async () => {
  const items = [one, two, three].map((host) => ({ host, image: detail() }));
  const { asked, introduced, sources } = sourcesOf(items, [two]);
  for (let at = 0; at < 8; at += 1) {
    const reader = at % 2 === 0 ? one : hosts("reader")[0]!;
    expect(await sources.give(reader, request("c"), "inbox")).toEqual(ok(true));
  }
  expect(new Set(introduced.map(([host]) => host))).toEqual(new Set([one, three]));
  expect(introduced.filter(([, what]) => what !== "blob_read for inbox")).toEqual([]);
  expect(asked).toHaveLength(1);
});

test("only blobs of the image are given, and a refusal makes the next question a new one", async () => {
  const { asked, introduced, sources } = sourcesOf([{ host: one, image: detail() }]);
  const refused = await sources.give(two, request("9"), "inbox");
  expect(refused.ok === false && refused.error.code).toBe("image.not_found");
  expect(introduced).toEqual([]);
  await sources.give(two, request("c"), "inbox");
  expect(asked).toHaveLength(2);
});

test("that nobody has it, or nobody could be asked, is not remembered", async () => {
  const { answerWith, sources } = sourcesOf([]);
  answerWith(err(problem("image.not_found", "no host has it")));
  expect(await sources.find(one, "oci://local/app:1")).toEqual(ok({ found: null }));
  answerWith(err(problem("agent.unreachable", "away")));
  expect((await sources.find(one, "oci://local/app:1")).ok).toBe(false);
  answerWith(ok({ items: [{ host: two, image: detail() }] }));
  expect(await sources.find(one, "oci://local/app:1")).toMatchObject({ value: { found: { imported: true } } });
});

test("some hosts of many: as many as asked for, the same for one seed, others for another", () => {
  const all = Array.from({ length: 40 }, (_, at) => `host-${at}` as HostId);
  expect(someOf(all, 3, "x")).toEqual(someOf(all.toReversed(), 3, "x"));
  expect(new Set(someOf(all, 3, "x")).size).toBe(3);
  expect(someOf(all, 50, "x")).toHaveLength(40);
  expect(someOf(all, 3, "x")).not.toEqual(someOf(all, 3, "y"));
});
