/** Volumes: list, look at, make, fill, read, delete. */
import {
  Type,
  DEFAULT_PROJECT,
  HostIdSchema,
  MAX_IMAGE_DATA_BYTES,
  ProjectNameSchema,
  Routes,
  VolumeCopyRequestSchema,
  VolumeDetailSchema,
  VolumeIdSchema,
  VolumeListSchema,
  VolumeNameSchema,
  VolumeRemovedSchema,
  VolumeRequestSchema,
  VolumeTakenSchema,
  VolumeViewSchema,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { acceptPieces, answerArchive, archiveResponse, pieceOf, pieceProperties } from "../archives.ts";
import type { AuditHook } from "../audit.ts";
import { originOf, principalOf, refuseForeignProject } from "../auth.ts";
import { orRefuse } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { pageProperties, pageRequest, problems } from "../shapes.ts";
import { goneSignal } from "./jobs.ts";

const strict = { additionalProperties: false } as const;
const VolumeParams = Type.Object({ project: ProjectNameSchema, volume: VolumeNameSchema }, strict);

export const addVolumeRoutes = (server: Server, { api, archives }: Control, audit: AuditHook): void => {
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
        querystring: Type.Object({ id: Type.Optional(VolumeIdSchema) }, strict),
        response: { 200: VolumeRemovedSchema, ...problems },
      },
    },
    async (request) => {
      const { project, volume } = request.params;
      return orRefuse(await api.removeVolume(project, volume, request.query.id ?? null, originOf(request)));
    },
  );

  server.get(
    Routes.volumeArchive,
    {
      // Its body is all of a volume: nobody should have it read for nothing.
      exposeHeadRoute: false,
      schema: {
        summary: "What is in a volume, as an archive",
        description: "Of one that nobody writes. When somebody begins to, the stream breaks off.",
        params: VolumeParams,
        response: { 200: archiveResponse("a tar archive of the files of the volume"), ...problems },
      },
    },
    async (request, reply) => {
      const gone = goneSignal(reply.raw);
      const { project, volume } = request.params;
      await audit.made(request);
      const pieces = orRefuse(await archives.exported(project, volume, gone));
      return answerArchive(request, reply, pieces);
    },
  );

  server.register(async (scope) => {
    acceptPieces(scope);
    (scope as unknown as Server).post(
      Routes.volumeData,
      {
        bodyLimit: MAX_IMAGE_DATA_BYTES,
        schema: {
          summary: "A piece of the archive that a volume is made of",
          description:
            "Of the one with this `id`, which was made with `import`. In order; a piece that is sent again is not taken twice. The last one is answered when the volume is there, or still `filling`: then it may be sent again to ask.",
          consumes: ["application/octet-stream"],
          params: VolumeParams,
          querystring: Type.Object({ id: VolumeIdSchema, ...pieceProperties }, strict),
          response: { 200: VolumeTakenSchema, ...problems },
        },
      },
      async (request) => {
        const { project, volume } = request.params;
        return orRefuse(await archives.take(project, volume, request.query.id, pieceOf(request)));
      },
    );
  });
};
