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

const LOCAL = "oci://local/app:1";
const chosen = (name: string, items: ImageDetails["items"], ...manifest: [(string | undefined)?]) =>
  chooseSource(name, items, manifest.length === 0 ? digest("a") : manifest[0]);

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
    () => digest("a"),
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

test("a name of the cluster is what the log says, whatever hosts say; offered by those that have all of its archives", () => {
  const layers = detail().layers.map((layer) => ({ ...layer, archiveHere: false }));
  expect(chosen(LOCAL, [{ host: one, image: detail({ layers }) }])).toBeUndefined();
  const items = [
    { host: three, image: detail({ manifest: digest("e"), broughtAtMs: 9e15 }) },
    { host: two, image: detail({ manifest: digest("f"), broughtAtMs: 5 }) },
    { host: one, image: detail({ broughtAtMs: 3, source: "registry" }) },
  ];
  expect(chosen(LOCAL, items)).toMatchObject({ manifest: digest("a"), imported: true, givers: [one] });
  expect(chosen(LOCAL, items, digest("9"))).toBeUndefined();
  // Nobody has said what it stands for: so it stands for nothing.
  expect(chosen(LOCAL, items, undefined)).toBeUndefined();
});

test("who lies about the layers of an image keeps nobody from those of others", () => {
  const lie = detail({ layers: [{ ...detail().layers[0]!, digest: digest("8") }] });
  const source = chosen(LOCAL, [
    { host: three, image: lie },
    { host: one, image: detail() },
  ]);
  expect(source?.blobs.has(digest("c"))).toBe(true);
});

test("what the name of a registry is, no host says: not as an import, and without its registry not against others", () => {
  const name = "oci://registry.lan/app:1";
  const bad = { host: three, image: detail({ name, manifest: digest("f"), broughtAtMs: 9e15 }) };
  expect(chosen(name, [bad])).toMatchObject({ imported: false });
  const good = (host: HostId, archiveHere: boolean) => ({
    host,
    image: detail({
      ...{ name, source: "registry" },
      layers: detail().layers.map((layer) => ({ ...layer, archiveHere })),
    }),
  });
  expect(chosen(name, [bad, good(one, true)])).toBeUndefined();
  // Who cannot give it knows what it is all the same.
  expect(chosen(name, [bad, good(one, true), good(two, false)])).toMatchObject({
    ...{ manifest: digest("a"), imported: false, givers: [one] },
  });
  expect(chosen(name, [bad, good(one, false), good(two, false)])).toBeUndefined();
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

test("a host that asks for ever leaves turns to the others, and few questions go to all hosts at a time", async () => {
  const waiting: string[] = [];
  let answerAll = (): void => {};
  const answered = new Promise<void>((resolve) => {
    answerAll = resolve;
  });
  const sources = createImageSources(
    {
      inspect: async (image) => {
        waiting.push(image);
        await answered;
        return ok({ items: [{ host: one, image: detail() }] });
      },
    },
    () => true,
    () => digest("a"),
  );
  const found = (reader: HostId, of: number) =>
    Array.from({ length: of }, (_, at) => sources.find(reader, `oci://local/${reader}-${at}:1`));
  const bad = found(three, 100);
  const good = [...found(two, 3), ...found(hosts("four")[0]!, 1)];
  await Promise.resolve();
  await Promise.resolve();
  expect(waiting).toEqual(["three-0", "three-1", "two-0", "two-1"].map((name) => `oci://local/${name}:1`));
  answerAll();
  for (const answer of await Promise.all(good)) expect(answer).toMatchObject({ value: { found: { imported: true } } });
  const refused = (await Promise.all(bad)).filter((answer) => !answer.ok);
  expect(refused).toHaveLength(34);
  expect(refused[0]).toMatchObject({ error: { code: "request.too_many" } });
});

test("some hosts of many: as many as asked for, the same for one seed, others for another", () => {
  const all = Array.from({ length: 40 }, (_, at) => `host-${at}` as HostId);
  expect(someOf(all, 3, "x")).toEqual(someOf(all.toReversed(), 3, "x"));
  expect(new Set(someOf(all, 3, "x")).size).toBe(3);
  expect(someOf(all, 50, "x")).toHaveLength(40);
  expect(someOf(all, 3, "x")).not.toEqual(someOf(all, 3, "y"));
});
