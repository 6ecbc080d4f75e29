/** What the kernel asks for each part of a container: the floor with and without it, in alternating rounds. */
import { figure, median, quantile, type Figure } from "./figures.ts";
import { WITHOUT, type Floor } from "./floor.ts";

const PARTS: readonly (readonly [string, number])[] = [
  ["network namespace and /sys", WITHOUT.net],
  ["cgroups with limits", WITHOUT.cgroups],
  ["/proc, /sys, /dev and masks", WITHOUT.mounts],
  ["capabilities and seccomp", WITHOUT.filter],
  ["user namespace and id map", WITHOUT.user],
  ["overlay instead of a bind", WITHOUT.overlay],
];

const BURST = 3;

export const kernelCosts = async (floor: Floor, rounds: number): Promise<Figure[]> => {
  const variants = [0, WITHOUT.all, ...PARTS.map(([, variant]) => variant)];
  const values = new Map<number, number[]>(variants.map((variant) => [variant, []]));
  for (let round = 0; round < rounds; round += 1)
    for (let i = 0; i < variants.length; i += 1) {
      const variant = variants[(round + i) % variants.length] ?? 0;
      const burst: number[] = [];
      for (let k = 0; k < BURST; k += 1) burst.push(await floor.run(variant));
      values.get(variant)?.push(median(burst));
    }
  const full = values.get(0) ?? [];
  return [
    figure("kernel: the whole floor, median", median(full), "ms"),
    figure("kernel: the program alone, no isolation, median", median(values.get(WITHOUT.all) ?? []), "ms"),
    ...PARTS.map(([name, variant]) => {
      const saved = full.flatMap((value, i) => [value - (values.get(variant)?.[i] ?? Number.NaN)]);
      return figure(`kernel: ${name}`, median(saved), "ms", {
        note: `quartiles ${quantile(saved, 0.25).toFixed(2)} to ${quantile(saved, 0.75).toFixed(2)}`,
      });
    }),
  ];
};
