import * as fc from "fast-check";
import { expect, it } from "vitest";
import { FairQueue, type Turn } from "./fair-queue.ts";

it("names whom a search of all of them names, whatever changes", () => {
  const small = fc.integer({ min: 0, max: 3 });
  const step = fc.record({
    owner: fc.integer({ min: 0, max: 9 }),
    standing: small,
    share: small,
    isGone: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const owners = Array.from({ length: 10 }, (_, name) => ({ name }));
      const queue = new FairQueue<{ name: number }>();
      const model = new Map<number, Turn<{ name: number }>>();
      steps.forEach(({ isGone, owner: at, share, standing }, order) => {
        const owner = owners[at] as { name: number };
        if (isGone) queue.remove(owner);
        else queue.set({ owner, standing, share, order });
        if (isGone) model.delete(at);
        else model.set(at, { owner, standing, share, order });
        const [first] = [...model.values()].sort(
          (a, b) => b.standing - a.standing || a.share - b.share || a.order - b.order,
        );
        expect(queue.first()).toBe(first?.owner);
      });
    }),
  );
});
