/** Allocations: list, look at, and the files that their containers wrote. */
import { basename } from "node:path";
import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import {
  Type,
  AllocationIdSchema,
  AllocationListSchema,
  AllocationStateSchema,
  AllocationViewSchema,
  ChangeCursorSchema,
  ChangeListSchema,
  HostIdSchema,
  JobNameSchema,
  OutputListSchema,
  problem,
  ProjectNameSchema,
  Routes,
  type AllocationFile,
  type AllocationId,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import type { AuditHook } from "../audit.ts";
import { principalOf, refuseForeignProject } from "../auth.ts";
import { orRefuse, Refusal } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { AllocationParams, pageProperties, pageRequest, problems } from "../shapes.ts";
import { goneSignal } from "./jobs.ts";

const strict = { additionalProperties: false } as const;
const bytes = Type.Unsafe<Readable>(Type.String());
const offset = Type.Optional(Type.Integer({ minimum: 0 }));

/** RFC 6266: a plain name for old clients, the exact one for all others. */
const attachment = (name: string): string =>
  `attachment; filename="${name.replaceAll(/[^\w.-]/g, "_")}"; filename*=UTF-8''${encodeURIComponent(name)}`;

export const addAllocationRoutes = (server: Server, { api, files, streams }: Control, audit: AuditHook): void => {
  server.get(
    Routes.allocations,
    {
      schema: {
        summary: "List allocations",
        querystring: Type.Object(
          {
            project: Type.Optional(ProjectNameSchema),
            job: Type.Optional(JobNameSchema),
            index: offset,
            host: Type.Optional(HostIdSchema),
            state: Type.Optional(AllocationStateSchema),
            ...pageProperties,
          },
          strict,
        ),
        response: { 200: AllocationListSchema, ...problems },
      },
    },
    async (request) => {
      const { project, job, index, host, state } = request.query;
      refuseForeignProject(request, project);
      const filter = { project, job, index, host, state };
      return orRefuse(api.allocations(filter, pageRequest(request.query), principalOf(request).projects));
    },
  );

  server.get(
    Routes.allocation,
    {
      schema: {
        summary: "An allocation",
        params: AllocationParams,
        response: { 200: AllocationViewSchema, ...problems },
      },
    },
    async (request) => orRefuse(api.allocation(request.params.allocation)),
  );

  const stream = async (
    request: FastifyRequest,
    reply: FastifyReply,
    allocation: AllocationId,
    file: AllocationFile,
    options: { readonly offset: number; readonly follow: boolean },
  ): Promise<Readable> => {
    orRefuse(api.allocation(allocation));
    const opened = orRefuse(await streams.open(allocation, { file, ...options, signal: goneSignal(reply.raw) }));
    void reply.header("berth-offset", opened.offset);
    const readable = Readable.from(opened.chunks, { objectMode: false, highWaterMark: 1 });
    readable.once("error", (error) => request.log.warn({ err: error, allocation }, "file_stream_broken"));
    return readable;
  };

  server.get(
    Routes.allocationLogs,
    {
      schema: {
        summary: "What the container wrote to stdout or stderr",
        description:
          "The newest bytes are kept. The header `berth-offset` is the offset of the first byte of the answer: `offset`, or a later one when the log does not go back so far any more.",
        params: AllocationParams,
        querystring: Type.Object(
          { stream: Type.Optional(Type.Enum(["stdout", "stderr"])), follow: Type.Optional(Type.Boolean()), offset },
          strict,
        ),
        response: { 200: { description: "text", content: { "text/plain": { schema: bytes } } }, ...problems },
      },
    },
    async (request, reply) => {
      const { stream: kind = "stdout", follow = false, offset: from = 0 } = request.query;
      const readable = await stream(request, reply, request.params.allocation, { kind }, { offset: from, follow });
      return reply.type("text/plain; charset=utf-8").header("cache-control", "no-store").send(readable);
    },
  );

  for (const [route, kind, summary] of [
    [Routes.allocationPause, "pause", "Pause a container: answers when all its processes stand still"],
    [Routes.allocationResume, "resume", "Let a paused container go on"],
  ] as const) {
    server.post(
      route,
      { schema: { summary, params: AllocationParams, response: { 200: AllocationViewSchema, ...problems } } },
      async (request) => {
        const { allocation } = request.params;
        const { state } = orRefuse(api.allocation(allocation));
        if (state !== "running") throw new Refusal(problem("allocation.not_running", `${allocation} is ${state}`));
        await audit.made(request);
        orRefuse(await files.setPaused(allocation, kind));
        return orRefuse(api.allocation(allocation));
      },
    );
  }

  server.get(
    Routes.allocationChanges,
    {
      schema: {
        summary: "What a container has changed of its image",
        params: AllocationParams,
        querystring: Type.Object({ after: Type.Optional(ChangeCursorSchema) }, strict),
        response: { 200: ChangeListSchema, ...problems },
      },
    },
    async (request) => {
      orRefuse(api.allocation(request.params.allocation));
      return orRefuse(await files.listChanges(request.params.allocation, request.query.after ?? null));
    },
  );

  server.get(
    Routes.allocationOutputs,
    {
      schema: {
        summary: "The files that were collected from the container",
        params: AllocationParams,
        querystring: Type.Object({ offset }, strict),
        response: { 200: OutputListSchema, ...problems },
      },
    },
    async (request) => {
      orRefuse(api.allocation(request.params.allocation));
      return orRefuse(await files.listOutputs(request.params.allocation, request.query.offset ?? 0));
    },
  );

  server.get(
    Routes.allocationOutput,
    {
      schema: {
        summary: "One collected file",
        params: Type.Object(
          { allocation: AllocationIdSchema, "*": Type.String({ minLength: 1, maxLength: 4096 }) },
          strict,
        ),
        querystring: Type.Object({ offset }, strict),
        response: {
          200: { description: "the file", content: { "application/octet-stream": { schema: bytes } } },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const path = request.params["*"];
      const options = { offset: request.query.offset ?? 0, follow: false };
      const readable = await stream(request, reply, request.params.allocation, { kind: "output", path }, options);
      return reply
        .type("application/octet-stream")
        .header("content-disposition", attachment(basename(path)))
        .header("cache-control", "no-store")
        .send(readable);
    },
  );
};
