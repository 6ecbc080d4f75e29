/** Pieces of requests that several routes share. */
import { Type, AllocationIdSchema, HostIdSchema, JobNameSchema, ProblemSchema, ProjectNameSchema } from "@berth/schema";
import { DEFAULT_PAGE, MAX_PAGE, type PageRequest } from "../../app/pages.ts";

const strict = { additionalProperties: false } as const;

export const JobParams = Type.Object({ project: ProjectNameSchema, job: JobNameSchema }, strict);
export const TaskParams = Type.Object(
  { project: ProjectNameSchema, job: JobNameSchema, index: Type.Integer({ minimum: 0 }) },
  strict,
);
export const TaskOnHostParams = Type.Object({ ...TaskParams.properties, host: HostIdSchema }, strict);
export const HostParams = Type.Object({ host: HostIdSchema }, strict);
export const AllocationParams = Type.Object({ allocation: AllocationIdSchema }, strict);

export const pageProperties = {
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_PAGE, description: `items per page, default ${DEFAULT_PAGE}` }),
  ),
  cursor: Type.Optional(Type.String({ maxLength: 512, description: 'the "next" of the page before' })),
};

export const pageRequest = (query: { readonly limit?: number; readonly cursor?: string }): PageRequest => ({
  limit: query.limit ?? DEFAULT_PAGE,
  cursor: query.cursor,
});

/** Answers of every route that can refuse. */
export const problems = { "4xx": ProblemSchema, "5xx": ProblemSchema };
