/** How many starts a second, each with its removal, one and two at a time. Rounds of floor and Berth alternate. */
import { figure, median, pairedRatio, type Figure } from "./figures.ts";
import { startFloor } from "./floor.ts";
import type { Field } from "./starts.ts";
import type { Place } from "./place.ts";

const STARTS = 60;
const ROUNDS = 6;

export const sustainedRate = async (place: Place, field: Field): Promise<Figure[]> => {
  const second = startFloor(place);
  const berth = async (workers: number): Promise<number> => {
    const begin = performance.now();
    await Promise.all(
      Array.from({ length: workers }, async () => {
        for (let i = 0; i < STARTS; i += 1) await field.berth.time();
      }),
    );
    return (STARTS * workers) / ((performance.now() - begin) / 1000);
  };
  const floor = async (workers: number): Promise<number> => {
    const begin = performance.now();
    await Promise.all([field.floor, second].slice(0, workers).map((one) => one.rate(STARTS)));
    return (STARTS * workers) / ((performance.now() - begin) / 1000);
  };
  try {
    const figures: Figure[] = [];
    for (const workers of [1, 2]) {
      const ours: number[] = [];
      const theirs: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const order = round % 2 === 0 ? [0, 1] : [1, 0];
        for (const who of order) {
          if (who === 0) theirs.push(await floor(workers));
          else ours.push(await berth(workers));
        }
      }
      figures.push(
        figure(`rate: floor, ${workers} at a time`, median(theirs), "1/s"),
        figure(`rate: berth, ${workers} at a time`, median(ours), "1/s"),
        figure(`rate: berth / floor, ${workers} at a time`, pairedRatio(ours, theirs), "ratio", {
          versus: "floor",
          ...(workers === 2 ? { atLeast: 0.8 } : {}),
        }),
      );
    }
    return figures;
  } finally {
    await second.close();
  }
};
