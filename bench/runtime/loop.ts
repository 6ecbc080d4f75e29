/** For how long a start holds up the event loop of a large process. */
import { figure, median, type Figure } from "./figures.ts";
import { startHolder } from "./holder.ts";
import type { Place } from "./place.ts";

const RSS_BYTES = 800 * 1024 * 1024;
const PER_SECOND = 50;
const SECONDS = 20;

export const eventLoop = async (place: Place): Promise<Figure[]> => {
  const holder = startHolder(place);
  try {
    await holder.ask("grow", { bytes: RSS_BYTES });
    const count = PER_SECOND * SECONDS;
    const seen = await holder.ask("pace", { count, perSecond: PER_SECOND });
    const note = `n=${count}, ${PER_SECOND}/s, RSS ${(Number(seen["rssBytes"]) / 1024 / 1024).toFixed(0)} MiB`;
    return [
      figure("loop: blocked by the call, median", median(seen["called"] as number[]), "ms", { atMost: 0.3, note }),
      figure("loop: all work of it per start, exit and removal", Number(seen["activeMs"]) / count, "ms"),
      figure("loop: delay, p99.9", Number(seen["p999Ms"]), "ms", { atMost: 20, note: "sampled each ms" }),
      figure("loop: delay, longest", Number(seen["maxMs"]), "ms"),
    ];
  } finally {
    await holder.close();
  }
};
