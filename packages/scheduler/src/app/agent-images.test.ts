/** Archives that are read from a host: whoever leaves, however early, leaves no operation behind there. */
import { expect, test } from "vitest";
import { err, ok, problem, type HostId, type Problem, type Result, type Rpc } from "@berth/schema";
import { createState } from "../core/index.ts";
import { createAgentImages } from "./agent-images.ts";

const host = "h1" as HostId;
const request = { kind: "root", allocation: "alloc_06f0000000000000000000000a", pause: true } as never;
const OPERATION = { kind: "root", image: null, state: "running", error: null, layers: [], result: null, revision: 1 };

/** `on` sees each request before it is answered. */
const imagesOf = (on: (kind: string) => Promise<Result<unknown, Problem> | undefined>) => {
  const cancelled: string[] = [];
  const askAgent = async (_host: HostId, op: Rpc["op"]): Promise<Result<unknown, Problem>> => {
    if (op.kind === "image_cancel") cancelled.push(op.id);
    const instead = await on(op.kind);
    if (instead !== undefined) return instead;
    if (op.kind === "image_start" || op.kind === "image_cancel") return ok({ id: op.id, ...OPERATION });
    if (op.kind !== "image_read") return err(problem("internal", op.kind));
    return ok({ data: Buffer.from("x").toString("base64"), offset: op.offset, size: 0, done: op.offset > 0 });
  };
  const options = { state: createState(), askAgent, randomBytes: (size: number) => Buffer.alloc(size, 7) };
  return { images: createAgentImages(options), cancelled };
};
const nothing = () => Promise.resolve(undefined);

test.each(["image_start", "image_read"])("who leaves during %s has it cancelled at once, and once", async (at) => {
  const gone = new AbortController();
  const { cancelled, images } = imagesOf((kind) => {
    if (kind === at) gone.abort();
    return nothing();
  });
  await images.exported(host, request, gone.signal);
  expect(cancelled).toHaveLength(1);
});

test("a first piece that does not come, and a beginning of which nobody knows, are cancelled", async () => {
  for (const [at, code] of [
    ["image_read", "image.failed"],
    ["image_start", "agent.unreachable"],
  ] as const) {
    const { cancelled, images } = imagesOf((kind) =>
      kind === at ? Promise.resolve(err(problem(code, "no"))) : nothing(),
    );
    expect(await images.exported(host, request, new AbortController().signal)).toMatchObject({ error: { code } });
    expect(cancelled, at).toHaveLength(1);
  }
});

test("one that was read to its end is not cancelled, one that is left halfway is", async () => {
  const gone = new AbortController();
  const { cancelled, images } = imagesOf(nothing);
  const read = async (most: number) => {
    const pieces = await images.exported(host, request, gone.signal);
    if (!pieces.ok) throw new Error(pieces.error.detail);
    let text = "";
    for await (const piece of pieces.value) {
      text += piece.toString();
      if (text.length >= most) break;
    }
    return text;
  };
  expect(await read(10)).toBe("xx");
  expect(cancelled).toEqual([]);
  expect(await read(1)).toBe("x");
  expect(cancelled).toHaveLength(1);
  gone.abort();
  expect(cancelled).toHaveLength(1);
});
