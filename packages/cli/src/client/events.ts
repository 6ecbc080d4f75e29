/**
 * Events in order, each once: a broken connection is taken up again behind the last transaction that was read whole, and
 * what was read of the next one is not passed on twice.
 */
import { createParser } from "eventsource-parser";
import { setTimeout as sleep } from "node:timers/promises";
import { decoder, EventSchema, problem, Routes, type Event } from "@berth/schema";
import { Failure, failureOf } from "../failure.ts";
import { decodeTolerantly, type Client, type Query } from "./client.ts";

const OUTAGE_MS = 120_000;
/** A connection that ends this often without an event in between will not get better. */
const MAX_BREAKS = 20;
const PAUSE_MS = 500;
/** The server speaks every 15 s. */
const SILENCE_MS = 45_000;

const decodeEvent = decoder(EventSchema);

export interface EventQuery {
  readonly since: number | undefined;
  readonly tail: number | undefined;
  readonly follow: boolean;
  readonly project: string | undefined;
  readonly job: string | undefined;
  readonly host: string | undefined;
}

const eventOf = (data: string): Event => {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    value = undefined;
  }
  const event = decodeTolerantly(decodeEvent, value);
  if (event === undefined) throw failureOf(problem("cluster.unreachable", "an event has an unexpected form"));
  return event;
};

/** Ends with what was there when it does not follow; else when `signal` aborts, by throwing its reason. */
export async function* readEvents(
  client: Client,
  query: EventQuery,
  options: { readonly signal: AbortSignal; readonly onOutage: (failure: Failure) => void },
): AsyncGenerator<Event> {
  let { since } = query;
  let last: Pick<Event, "sequence" | "part"> = { sequence: -1, part: -1 };
  for (let breaks = 0; ; breaks += 1) {
    const asked: Query = {
      ...query,
      since,
      tail: since === undefined ? query.tail : undefined,
      follow: String(query.follow),
    };
    const body = await client.stream(Routes.events, {
      query: asked,
      signal: options.signal,
      bridge: query.follow && breaks > 0,
      patienceMs: OUTAGE_MS,
      onOutage: options.onOutage,
    });
    const come: (Event | number)[] = [];
    const parser = createParser({
      onEvent: ({ data }) => come.push(eventOf(data)),
      // `at SEQUENCE`: everything up to there has been said.
      onComment: (text) => {
        const at = /^ ?at (\d{1,15})$/.exec(text)?.[1];
        if (at !== undefined) come.push(Number(at));
      },
      onError: () => {
        throw failureOf(problem("cluster.unreachable", "what comes is not a stream of events"));
      },
    });
    let broken: unknown;
    try {
      body.setTimeout(SILENCE_MS, () => body.destroy(new Error("nothing came for a long time")));
      for await (const part of body.setEncoding("utf8")) {
        parser.feed(part as string);
        for (const event of come.splice(0)) {
          if (typeof event === "number") {
            since = event;
            continue;
          }
          if (event.sequence < last.sequence) continue;
          if (event.sequence === last.sequence && event.part <= last.part) continue;
          // What came before a new transaction was whole.
          since = event.sequence - 1;
          last = event;
          breaks = 0;
          yield event;
        }
      }
      if (!query.follow) return;
    } catch (error) {
      if (options.signal.aborted || error instanceof Failure) throw error;
      broken = error;
    }
    if (!query.follow || breaks >= MAX_BREAKS) {
      const why = broken instanceof Error ? broken.message : "it ends the connection again and again";
      throw failureOf(problem("cluster.unreachable", `${client.connection.api.origin}: ${why}`));
    }
    await sleep(PAUSE_MS, undefined, { signal: options.signal });
  }
}
