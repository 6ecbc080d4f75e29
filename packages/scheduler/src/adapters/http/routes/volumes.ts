/** Volumes: list, look at, make, delete. */
import Type from "typebox";
import {
  DEFAULT_PROJECT,
  HostIdSchema,
  ProjectNameSchema,
  Routes,
  VolumeCopyRequestSchema,
  VolumeDetailSchema,
  VolumeListSchema,
  VolumeNameSchema,
  VolumeRemovedSchema,
  VolumeRequestSchema,
  VolumeViewSchema,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { originOf, principalOf, refuseForeignProject } from "../auth.ts";
import { orRefuse } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { pageProperties, pageRequest, problems } from "../shapes.ts";

const strict = { additionalProperties: false } as const;
const VolumeParams = Type.Object({ project: ProjectNameSchema, volume: VolumeNameSchema }, strict);

export const addVolumeRoutes = (server: Server, { api }: Control): void => {
  server.get(
    Routes.volumes,
    {
      schema: {
        summary: "List volumes",
        querystring: Type.Object(
          { project: Type.Optional(ProjectNameSchema), host: Type.Optional(HostIdSchema), ...pageProperties },
          strict,
        ),
        response: { 200: VolumeListSchema, ...problems },
      },
    },
    async (request) => {
      const { host, project } = request.query;
      refuseForeignProject(request, project);
      return orRefuse(api.volumes({ host, project }, pageRequest(request.query), principalOf(request).projects));
    },
  );

  server.post(
    Routes.volumes,
    {
      schema: {
        summary: "Make a volume, on the host with the best room or on this one",
        body: VolumeRequestSchema,
        response: { 200: VolumeViewSchema, ...problems },
      },
    },
    async (request) =>
      orRefuse(await api.createVolume(request.body, request.body.project ?? DEFAULT_PROJECT, originOf(request))),
  );

  server.get(
    Routes.volume,
    {
      schema: {
        summary: "A volume, with what its host has of it",
        params: VolumeParams,
        response: { 200: VolumeDetailSchema, ...problems },
      },
    },
    async (request) => orRefuse(await api.volume(request.params.project, request.params.volume)),
  );

  server.post(
    Routes.volumeCopies,
    {
      schema: {
        summary: "Copy a volume that nobody writes: a clone, or a snapshot, which stays as it is",
        params: VolumeParams,
        body: VolumeCopyRequestSchema,
        response: { 200: VolumeViewSchema, ...problems },
      },
    },
    async (request) => {
      const { project, volume } = request.params;
      return orRefuse(await api.copyVolume(request.body, project, volume, originOf(request)));
    },
  );

  server.post(
    Routes.volumeRemove,
    {
      schema: {
        summary: "Delete a volume that nothing uses, with its data",
        params: VolumeParams,
        response: { 200: VolumeRemovedSchema, ...problems },
      },
    },
    async (request) =>
      orRefuse(await api.removeVolume(request.params.project, request.params.volume, originOf(request))),
  );
};
