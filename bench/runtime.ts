/**
 * `pnpm bench:runtime [--help]`: how fast containers start and how little they take, beside the floor (a C program that
 * makes the necessary system calls and no other) and beside other runtimes, all in one interleaved run. Compare ratios,
 * not milliseconds. A table on stdout, or with --json one object per figure. Needs root. It measures the compiled package, as
 * agents run it: with --conditions=source each function is given its name by a call, which all starts pay for.
 */
import { openBerth } from "./runtime/berth.ts";
import { figure, showFigure, type Figure } from "./runtime/figures.ts";
import { startFloor } from "./runtime/floor.ts";
import { idleMemory, manyHeld, manyLinks } from "./runtime/held.ts";
import { kernelCosts } from "./runtime/kernel.ts";
import { eventLoop } from "./runtime/loop.ts";
import { parseOptions, usage, type Mode, type Options } from "./runtime/options.ts";
import { installPeers, openPeers, type Peers } from "./runtime/peers.ts";
import { openPlace, type Place } from "./runtime/place.ts";
import { sustainedRate } from "./runtime/rate.ts";
import { bridgedStarts, coldStarts, POOL, warmStarts, type Field } from "./runtime/starts.ts";

const noPeers: Peers = { present: [], absent: [], close: () => Promise.resolve() };

const measure = async (
  options: Options,
  place: Place,
  field: Field,
  show: (figures: readonly Figure[]) => void,
): Promise<void> => {
  const modes: Partial<Record<Mode, () => Promise<Figure[]>>> = {
    warm: () => warmStarts(field, options.rounds),
    cold: () => coldStarts(field, options.rounds * 2),
    bridge: () => bridgedStarts(field, Math.ceil(options.rounds / 2)),
    rate: () => sustainedRate(place, field),
    loop: () => eventLoop(place),
    memory: () => idleMemory(place),
    links: () => manyLinks(place),
    hold: () => manyHeld(place, options.containers),
    kernel: () => kernelCosts(field.floor, options.rounds),
  };
  for (const mode of options.modes) show((await modes[mode]?.()) ?? []);
};

const main = async (options: Options): Promise<void> => {
  const show = (figures: readonly Figure[]): void => {
    for (const one of figures) console.log(options.json ? JSON.stringify(one) : showFigure(one));
  };
  if (options.install && options.peers) installPeers();
  const place = await openPlace();
  try {
    const floor = startFloor(place);
    const berth = await openBerth(place, 0);
    const pooled = await openBerth(place, POOL);
    const peers =
      options.peers && (options.modes.has("warm") || options.modes.has("cold")) ? await openPeers(place) : noPeers;
    try {
      show(peers.absent.map((peer) => figure(`${peer.name}: absent`, Number.NaN, "text", { note: peer.absent })));
      await measure(options, place, { floor, berth, pooled, peers: peers.present }, show);
    } finally {
      await peers.close();
      await berth.close();
      await pooled.close();
      await floor.close();
    }
  } finally {
    place.close();
  }
};

if (process.argv.includes("--help")) console.log(usage);
else await main(parseOptions(process.argv.slice(2)));
