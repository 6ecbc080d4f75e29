/** Projects: list, look at, declare, change, remove. */
import {
  Type,
  ProjectChangeSchema,
  ProjectListSchema,
  ProjectNameSchema,
  ProjectRemovedSchema,
  ProjectRequestSchema,
  ProjectViewSchema,
  Routes,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { originOf, principalOf } from "../auth.ts";
import { orRefuse } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { pageProperties, pageRequest, problems } from "../shapes.ts";

const strict = { additionalProperties: false } as const;
const ProjectParams = Type.Object({ project: ProjectNameSchema }, strict);

export const addProjectRoutes = (server: Server, { api }: Control): void => {
  server.get(
    Routes.projects,
    {
      schema: {
        summary: "List projects, with what they hold",
        querystring: Type.Object({ ...pageProperties }, strict),
        response: { 200: ProjectListSchema, ...problems },
      },
    },
    async (request) => orRefuse(api.projects(pageRequest(request.query), principalOf(request).projects)),
  );

  server.post(
    Routes.projects,
    {
      schema: {
        summary: "Declare a project, with a quota and a weight",
        body: ProjectRequestSchema,
        response: { 200: ProjectViewSchema, ...problems },
      },
    },
    async (request) => orRefuse(await api.createProject(request.body, originOf(request))),
  );

  server.get(
    Routes.project,
    {
      schema: {
        summary: "A project: its quota, and what it holds of it",
        params: ProjectParams,
        response: { 200: ProjectViewSchema, ...problems },
      },
    },
    async (request) => orRefuse(api.project(request.params.project)),
  );

  server.post(
    Routes.projectSet,
    {
      schema: {
        summary: "Give a project another quota, weight or description; nothing that runs is ended",
        params: ProjectParams,
        body: ProjectChangeSchema,
        response: { 200: ProjectViewSchema, ...problems },
      },
    },
    async (request) => orRefuse(await api.changeProject(request.params.project, request.body, originOf(request))),
  );

  server.post(
    Routes.projectRemove,
    {
      schema: {
        summary: "Remove the record of a project that nothing is in any more",
        params: ProjectParams,
        response: { 200: ProjectRemovedSchema, ...problems },
      },
    },
    async (request) => orRefuse(await api.removeProject(request.params.project, originOf(request))),
  );
};
