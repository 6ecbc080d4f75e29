/** What a scheduler is told of the images here, also one that forgets in between. */
import { expect, test } from "vitest";
import { ok, type Held, type HeldImage } from "@berth/schema";
import { FakeClock, turns } from "../testing/fake-clock.ts";
import type { AgentContext } from "./context.ts";
import { createHeldTeller } from "./held.ts";

const image: HeldImage = { name: "oci://r/a:1", manifest: `sha256:${"1".repeat(64)}`, source: "registry", layers: [] };

test("what was told to a scheduler that knows nothing any more is told again when it is here again", async () => {
  const clock = new FakeClock();
  const here = new Map<string, HeldImage>([[image.name, image]]);
  let changes = 0;
  /** As the scheduler keeps it. */
  let known: number | null = null;
  const knows = new Map<string, HeldImage>();
  const take = ({ gone, images, revision, since }: Held): number | null => {
    if (since !== null && since !== known) return (known = null);
    if (since === null) knows.clear();
    for (const name of gone) knows.delete(name);
    for (const one of images) knows.set(one.name, one);
    return (known = revision);
  };
  const context = {
    clock,
    settings: { session: "session" },
    state: { greeted: true },
    images: {
      held: () => Promise.resolve([...here.values()]),
      heldChanges: () => changes,
      fetchRates: () => ({ registry: null, cluster: null }),
    },
    line: { isUp: () => true, held: (held: Held) => Promise.resolve(ok({ revision: take(held) })) },
  } as unknown as AgentContext;
  const teller = createHeldTeller(() => context);
  const pass = async (ms: number): Promise<void> => {
    await clock.advance(ms);
    await turns(10);
  };
  await pass(5_000);
  expect([...knows.keys()]).toEqual([image.name]);
  // Another one leads, which knows nothing, and there is nothing to tell it at first.
  known = null;
  knows.clear();
  here.clear();
  changes += 1;
  await pass(4_000);
  expect(known).not.toBeNull();
  here.set(image.name, image);
  changes += 1;
  await pass(60_000);
  expect([...knows.keys()]).toEqual([image.name]);
  teller.close();
});
