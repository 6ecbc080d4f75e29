/** Jobs: submit, plan, list, look at, wait for, stop, explain. */
import {
  Type,
  JobDocumentSchema,
  JobListSchema,
  JobViewSchema,
  parseDurationMs,
  PlanViewSchema,
  problem,
  ProjectNameSchema,
  routePath,
  Routes,
  SubmittedSchema,
  WhyNotSchema,
  WhySchema,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { originOf, principalOf, refuseForeignProject } from "../auth.ts";
import { orRefuse, Refusal } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { JobParams, pageProperties, pageRequest, problems, TaskOnHostParams, TaskParams } from "../shapes.ts";
import { describedOnly } from "../validation.ts";

const strict = { additionalProperties: false } as const;
const LONGEST_WAIT_MS = 60_000;

const waitOf = (text: string | undefined): number => {
  if (text === undefined) return 0;
  const parsed = parseDurationMs(text);
  if (parsed.ok) return Math.min(parsed.value, LONGEST_WAIT_MS);
  const errors = [{ pointer: "/wait", message: parsed.error }];
  throw new Refusal(problem("request.invalid", `query/wait: ${parsed.error}`, { errors }));
};

export const idempotencyKeyOf = (header: string | string[] | undefined): string | null => {
  if (header === undefined) return null;
  if (typeof header === "string" && /^[\x21-\x7e]{1,128}$/.test(header)) return header;
  const detail = "Idempotency-Key must be 1 to 128 visible ASCII characters, given once";
  throw new Refusal(problem("request.invalid", detail));
};

/** Aborts when the client goes away. */
export const goneSignal = (raw: {
  readonly destroyed: boolean;
  readonly once: (event: "close", listener: () => void) => unknown;
}): AbortSignal => {
  const gone = new AbortController();
  if (raw.destroyed) gone.abort();
  raw.once("close", () => gone.abort());
  return gone.signal;
};

export const addJobRoutes = (server: Server, { api }: Control): void => {
  server.post(
    Routes.jobs,
    {
      validatorCompiler: describedOnly,
      schema: {
        summary: "Submit a job, or with dryRun see what it would do",
        querystring: Type.Object({ dryRun: Type.Optional(Type.Boolean()) }, strict),
        body: JobDocumentSchema,
        response: { 200: Type.Union([SubmittedSchema, PlanViewSchema]), 201: SubmittedSchema, ...problems },
      },
    },
    async (request, reply) => {
      const document: unknown = request.body;
      if (document === undefined || document === null)
        throw new Refusal(problem("job.document_malformed", "the body is empty; send a job document as JSON"));
      if (request.query.dryRun === true) return orRefuse(api.plan(document, originOf(request)));
      const key = idempotencyKeyOf(request.headers["idempotency-key"]);
      const submitted = orRefuse(await api.submit(document, originOf(request), key));
      const { project, name } = submitted.job;
      return reply
        .code(submitted.action === "create" ? 201 : 200)
        .header("location", routePath(Routes.job, { project, job: name }))
        .header("etag", `"${submitted.revision}"`)
        .send(submitted);
    },
  );

  server.get(
    Routes.jobs,
    {
      schema: {
        summary: "List jobs",
        querystring: Type.Object({ project: Type.Optional(ProjectNameSchema), ...pageProperties }, strict),
        response: { 200: JobListSchema, ...problems },
      },
    },
    async (request) => {
      const { project } = request.query;
      refuseForeignProject(request, project);
      return orRefuse(api.jobs(project, pageRequest(request.query), principalOf(request).projects));
    },
  );

  server.get(
    Routes.job,
    {
      schema: {
        summary: "A job; with wait, as soon as it differs from a revision",
        params: JobParams,
        querystring: Type.Object(
          {
            wait: Type.Optional(Type.String({ maxLength: 32, description: "30s; at most 60s" })),
            revision: Type.Optional(Type.Integer({ minimum: 0 })),
          },
          strict,
        ),
        response: { 200: JobViewSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { project, job } = request.params;
      const waitMs = waitOf(request.query.wait);
      const first = orRefuse(api.job(project, job));
      // Without a revision the caller waits for the next change after what it would see now.
      const revision = request.query.revision ?? first.revision;
      if (waitMs > 0) await api.waitForJob(project, job, revision, waitMs, goneSignal(reply.raw));
      const found = orRefuse(api.job(project, job));
      return reply.header("etag", `"${found.revision}"`).send(found.job);
    },
  );

  server.post(
    Routes.jobStop,
    { schema: { summary: "Stop a job", params: JobParams, response: { 200: JobViewSchema, ...problems } } },
    async (request) => orRefuse(await api.stop(request.params.project, request.params.job, originOf(request))),
  );

  server.get(
    Routes.taskWhy,
    {
      schema: {
        summary: "Why a task is where it is, or nowhere",
        params: TaskParams,
        response: { 200: WhySchema, ...problems },
      },
    },
    async (request) => orRefuse(api.why(request.params.project, request.params.job, request.params.index)),
  );

  server.get(
    Routes.taskWhyNot,
    {
      schema: {
        summary: "Why a task is not on a certain host",
        params: TaskOnHostParams,
        response: { 200: WhyNotSchema, ...problems },
      },
    },
    async ({ params: { project, job, index, host } }) => orRefuse(api.whyNot(project, job, index, host)),
  );
};
