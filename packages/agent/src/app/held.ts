/**
 * Tells the schedulers which images are here: what has changed since they were told, and all of it to one that knows
 * nothing. Looks often and speaks rarely; nothing waits for it. One that does not know the question is asked again now and then.
 */
import { heldChange, type Told } from "../core/images/held-changes.ts";
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";

const LOOK_MS = 2_000;
/** Without news: a scheduler that has just begun to lead says that it knows nothing. */
const REMIND_MS = 20_000;
const REFUSED_MS = 60_000;

export const createHeldTeller = (getContext: () => AgentContext): { readonly close: () => void } => {
  /** Of the leader; empty while it knows nothing. */
  let told: Told = new Map();
  /** Up to where it knows it; null: nothing. */
  let known: number | null = null;
  let revision = 0;
  let seen = -1;
  let nextMs = 0;
  let closed = false;
  let cancel: () => void = () => undefined;

  const tell = async (): Promise<void> => {
    const { clock, images, line, settings, state } = getContext();
    if (!line.isUp() || !state.greeted) return;
    const changes = images.heldChanges();
    if (changes === seen && clock.monotonicMs() < nextMs) return;
    const held = await images.held();
    for (let more = true; more && !closed;) {
      const change = heldChange(told, held);
      more = change?.more === true;
      const answer = await line.held({
        session: settings.session,
        since: known,
        revision: revision + 1,
        images: [...(change?.images ?? [])],
        gone: [...(change?.gone ?? [])],
        rates: images.fetchRates(),
      });
      if (!answer.ok) {
        nextMs = clock.monotonicMs() + (answer.error.code === "message.invalid" ? REFUSED_MS : LOOK_MS);
        seen = changes;
        return;
      }
      if (answer.value.revision === revision + 1) {
        revision += 1;
        known = revision;
        told = change?.told ?? told;
      } else {
        // It has missed something, or is another one than before: all of it again.
        more = known !== null;
        known = null;
        told = new Map();
      }
    }
    seen = changes;
    nextMs = clock.monotonicMs() + REMIND_MS;
  };

  const look = (): void => {
    const { clock, log } = getContext();
    cancel = clock.after(LOOK_MS, () => {
      tell()
        .catch((error: unknown) => log.warn({ error: errorFields(error) }, "image.held_not_told"))
        .finally(() => {
          if (!closed) look();
        })
        .catch(() => undefined);
    });
  };
  look();

  return {
    close: () => {
      closed = true;
      cancel();
    },
  };
};
