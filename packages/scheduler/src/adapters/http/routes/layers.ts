/** What containers have written: as an archive, as an image, and what hosts keep of those that ended. */
import {
  Type,
  ImageBringingSchema,
  CommitRequestSchema,
  formatImageReference,
  HostIdSchema,
  ImageOrdersSchema,
  isOfProject,
  KeptLayerListSchema,
  LayerRemovedSchema,
  parseImageReference,
  problem,
  ProjectNameSchema,
  Routes,
  snapshotOf,
  type ProjectName,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { refusalOf, seesProject } from "../../../core/index.ts";
import { answerArchive, archiveResponse } from "../archives.ts";
import type { AuditHook } from "../audit.ts";
import { principalOf, refuseForeignProject } from "../auth.ts";
import { orRefuse, Refusal } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { AllocationParams, problems } from "../shapes.ts";
import { writtenPlace } from "../written-place.ts";
import { goneSignal } from "./jobs.ts";

const strict = { additionalProperties: false } as const;

export const addLayerRoutes = (server: Server, control: Control, audit: AuditHook): void => {
  const { images, layers } = control;

  server.get(
    Routes.allocationImage,
    {
      schema: {
        summary: "How far the host of an allocation is with bringing its image",
        params: AllocationParams,
        response: { 200: ImageBringingSchema, ...problems },
      },
    },
    async (request) => {
      const { allocation } = request.params;
      const { hostId } = orRefuse(control.api.allocation(allocation));
      return orRefuse(await images.bringing(hostId, allocation));
    },
  );

  server.get(
    Routes.allocationRoot,
    {
      // Its body is a whole file system: nobody should have it made for nothing.
      exposeHeadRoute: false,
      schema: {
        summary: "All files of a container",
        description: "One that runs is paused until the answer has come to its end, unless `pause` is false.",
        params: AllocationParams,
        querystring: Type.Object({ pause: Type.Optional(Type.Boolean()) }, strict),
        response: { 200: archiveResponse("a tar archive of the root of its file system"), ...problems },
      },
    },
    async (request, reply) => {
      // Before anything is waited for: whoever leaves meanwhile leaves no container paused.
      const gone = goneSignal(reply.raw);
      const { allocation } = request.params;
      const { host } = await writtenPlace(control, request, allocation);
      await audit.made(request);
      const { pause = true } = request.query;
      const pieces = orRefuse(await images.exported(host, { kind: "root", allocation, pause }, gone));
      return answerArchive(request, reply, pieces);
    },
  );

  server.post(
    Routes.allocationCommit,
    {
      schema: {
        summary: "An image of what a container wrote",
        description:
          "Names of other projects, and those that belong to none (all but `oci://local/PROJECT/…`), need the role operator.",
        params: AllocationParams,
        body: CommitRequestSchema,
        response: { 200: ImageOrdersSchema, ...problems },
      },
    },
    async (request) => {
      const { allocation } = request.params;
      const { host, project } = await writtenPlace(control, request, allocation);
      const reference = parseImageReference(request.body.image);
      if (!reference.ok) throw new Refusal(problem("request.invalid", `body/image: ${reference.error}`));
      if (reference.value.digest !== undefined) {
        throw new Refusal(problem("request.invalid", "body/image: name it by a tag, its digest is made now"));
      }
      const image = formatImageReference(reference.value);
      if (snapshotOf(image) !== undefined) {
        const detail = `body/image: ${image} would be a snapshot, and those are never overwritten: berth snapshot create makes one`;
        throw new Refusal(problem("request.invalid", detail));
      }
      const refused = isOfProject(image, project) ? undefined : refusalOf(principalOf(request), { role: "operator" });
      if (refused !== undefined) {
        const detail = `${refused.detail ?? refused.title}; names of ${project} begin with oci://local/${project}/`;
        throw new Refusal(problem(refused.code, detail));
      }
      await audit.made(request);
      return orRefuse(await images.commit(host, allocation, { ...request.body, image }));
    },
  );

  server.get(
    Routes.layers,
    {
      schema: {
        summary: "What ended containers wrote, as far as it is kept",
        querystring: Type.Object(
          { host: Type.Optional(HostIdSchema), project: Type.Optional(ProjectNameSchema) },
          strict,
        ),
        response: { 200: KeptLayerListSchema, ...problems },
      },
    },
    async (request) => {
      const { host, project } = request.query;
      refuseForeignProject(request, project);
      const who = principalOf(request);
      const sees = (other: string): boolean =>
        (project === undefined || project === other) && seesProject(who, other as ProjectName);
      return layers.list(host, sees);
    },
  );

  server.post(
    Routes.layerRemove,
    {
      schema: {
        summary: "What an ended container wrote is kept no longer",
        params: AllocationParams,
        response: { 200: LayerRemovedSchema, ...problems },
      },
    },
    async (request) => {
      const { allocation } = request.params;
      const { host } = await writtenPlace(control, request, allocation);
      await audit.made(request);
      return orRefuse(await layers.remove(host, allocation));
    },
  );
};
