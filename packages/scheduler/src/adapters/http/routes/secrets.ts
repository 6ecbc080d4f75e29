/** Secrets of a project: list them, set one, remove one. No answer holds a value. */
import {
  Type,
  ProjectNameSchema,
  Routes,
  SecretListSchema,
  SecretNameSchema,
  SecretRemovedSchema,
  SecretRequestSchema,
  SecretViewSchema,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { originOf } from "../auth.ts";
import { orRefuse } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { problems } from "../shapes.ts";

const strict = { additionalProperties: false } as const;
const ProjectParams = Type.Object({ project: ProjectNameSchema }, strict);
const SecretParams = Type.Object({ project: ProjectNameSchema, secret: SecretNameSchema }, strict);

export const addSecretRoutes = (server: Server, { api }: Control): void => {
  server.get(
    Routes.secrets,
    {
      schema: {
        summary: "List the secrets of a project, without their values",
        params: ProjectParams,
        response: { 200: SecretListSchema, ...problems },
      },
    },
    async (request) => api.secrets(request.params.project),
  );

  server.post(
    Routes.secret,
    {
      schema: {
        summary: "Set a secret; tasks that start from then on get this value",
        params: SecretParams,
        body: SecretRequestSchema,
        response: { 200: SecretViewSchema, ...problems },
      },
    },
    async (request) => {
      const { project, secret } = request.params;
      const draft = orRefuse(api.encryptSecret(project, secret, request.body.value));
      return orRefuse(await api.setSecret(draft, originOf(request)));
    },
  );

  server.post(
    Routes.secretRemove,
    {
      schema: {
        summary: "Remove a secret that no job refers to any more",
        params: SecretParams,
        response: { 200: SecretRemovedSchema, ...problems },
      },
    },
    async (request) =>
      orRefuse(await api.removeSecret(request.params.project, request.params.secret, originOf(request))),
  );
};
