/** Events as server-sent events (HTML standard, section 9.2): the sequence is the id, so a browser resumes by itself. */
import { Readable } from "node:stream";
import type { FastifyRequest } from "fastify";
import {
  Type,
  HostIdSchema,
  JobNameSchema,
  MAX_EVENT_TAIL,
  problem,
  ProjectNameSchema,
  Routes,
  type Event,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import type { EventBlock } from "../../../app/event-feed.ts";
import { seesProject } from "../../../core/index.ts";
import { principalOf, refuseForeignProject } from "../auth.ts";
import { orRefuse, Refusal } from "../problems.ts";
import type { Principal, Server } from "../server-type.ts";
import { problems } from "../shapes.ts";
import { goneSignal } from "./jobs.ts";

const RETRY_MS = 1_000;

/**
 * Only the last event of a transaction carries its id: whoever is cut off in the middle of one gets all of it again,
 * instead of losing the rest. A block without data moves the id on and is not an event.
 */
const textOf = ({ sequence, events }: EventBlock): string =>
  events.length === 0
    ? `: at ${sequence}\nid: ${sequence}\n\n`
    : events
        .map((event, at) => {
          const id = at === events.length - 1 ? `id: ${sequence}\n` : "";
          return `${id}data: ${JSON.stringify(event)}\n\n`;
        })
        .join("");

async function* texts(blocks: AsyncIterable<EventBlock>): AsyncGenerator<string> {
  yield `retry: ${RETRY_MS}\n\n`;
  for await (const block of blocks) yield textOf(block);
}

/** Who may what is an admin's affair; of others' work, and of what nobody knows whose it was, one sees nothing. */
const sees = (who: Principal, { kind, project, allocation }: Event): boolean => {
  if (/^(access|request)_/.test(kind) && who.role !== "admin") return false;
  if (who.projects === null) return true;
  return project === null ? allocation === null : seesProject(who, project);
};

/** What a browser that comes back says goes before what the address says. */
const sinceOf = (request: FastifyRequest, asked: number | undefined): number | undefined => {
  const header = request.headers["last-event-id"];
  if (header === undefined || header === "") return asked;
  if (typeof header === "string" && /^\d{1,15}$/.test(header)) return Number(header);
  throw new Refusal(problem("request.invalid", "Last-Event-ID must be the sequence of an event, a whole number"));
};

export const addEventRoutes = (server: Server, { events }: Control): void => {
  server.get(
    Routes.events,
    {
      exposeHeadRoute: false,
      schema: {
        summary: "What has happened, and what happens (server-sent events)",
        querystring: Type.Object(
          {
            since: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
            tail: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_EVENT_TAIL })),
            follow: Type.Optional(Type.Boolean()),
            project: Type.Optional(ProjectNameSchema),
            job: Type.Optional(JobNameSchema),
            host: Type.Optional(HostIdSchema),
          },
          { additionalProperties: false },
        ),
        response: {
          200: {
            description: "events",
            content: { "text/event-stream": { schema: Type.Unsafe<Readable>(Type.String()) } },
          },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { tail, follow = true, project, job, host } = request.query;
      refuseForeignProject(request, project);
      const who = principalOf(request);
      const since = sinceOf(request, request.query.since);
      const blocks = orRefuse(
        await events.open({
          since,
          tail: since === undefined ? tail : undefined,
          follow,
          wants: (event) =>
            sees(who, event) &&
            (project === undefined || event.project === project) &&
            (job === undefined || event.job === job) &&
            (host === undefined || event.host === host),
          signal: goneSignal(reply.raw),
        }),
      );
      const readable = Readable.from(texts(blocks), { objectMode: false, highWaterMark: 1 });
      readable.once("error", (error) => request.log.warn({ err: error }, "event_stream_broken"));
      return reply
        .type("text/event-stream; charset=utf-8")
        .header("cache-control", "no-store")
        .header("x-accel-buffering", "no")
        .send(readable);
    },
  );
};
