/** A watch of one container that ends with it, and that tells the kill which ended it. */
import type { Binding } from "./binding.ts";
import type { ExitRecord } from "./types.ts";
import { watchCgroup, type ContainerEvent, type PressureTrigger, type Watch } from "./watch.ts";

export interface WatchOptions {
  readonly oom?: boolean;
  readonly pressure?: readonly PressureTrigger[];
}

export const watchUntilEnd = async (
  binding: Binding,
  places: Parameters<typeof watchCgroup>[1],
  options: WatchOptions,
  listener: (event: ContainerEvent) => void,
  onClose: () => void,
): Promise<{ readonly watch: Watch; readonly onEnd: (exit: ExitRecord) => void }> => {
  const wish = { oom: options.oom ?? true, pressure: options.pressure ?? [] };
  let oomKills = 0;
  const inner = await watchCgroup(binding, places, wish, (event) => {
    if (event.kind === "oom") oomKills = event.oomKills;
    listener(event);
  });
  const close = (): void => {
    inner.close();
    onClose();
  };
  const onEnd = (exit: ExitRecord): void => {
    /* The kill that ended it takes the count with it. */
    if (wish.oom && exit.oom && oomKills === 0) listener({ kind: "oom", oomKills: 1 });
    close();
  };
  return { watch: { unavailable: inner.unavailable, close }, onEnd };
};
