/** Snapshots of tasks: taken, listed, removed, and started from. */
import {
  Type,
  HostIdSchema,
  ImageOrdersSchema,
  problem,
  ProjectNameSchema,
  Routes,
  SnapshotCloneSchema,
  snapshotImage,
  SnapshotListSchema,
  SnapshotNameSchema,
  snapshotOf,
  SnapshotRequestSchema,
  SubmittedSchema,
  type ImageOrders,
  type SnapshotClone,
  type SnapshotId,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { seesProject } from "../../../core/index.ts";
import type { AuditHook } from "../audit.ts";
import { originOf, principalOf, refuseForeignProject } from "../auth.ts";
import { orRefuse, Refusal } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { AllocationParams, problems, TaskParams } from "../shapes.ts";
import { writtenPlace } from "../written-place.ts";
import { idempotencyKeyOf } from "./jobs.ts";

const strict = { additionalProperties: false } as const;
const SnapshotParams = Type.Object({ ...TaskParams.properties, snapshot: SnapshotNameSchema }, strict);

/** A removal is waited for so often, so long. */
const LOOKS = 5;
const LOOK_MS = 2_000;

/** 2026-11-29T16:04:05.678Z as 20261129-160405. */
const nameOfNow = (): string => new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");

export const addSnapshotRoutes = (server: Server, control: Control, audit: AuditHook): void => {
  const { api, images } = control;
  const idOf = ({ index, job, project, snapshot }: Type.Static<typeof SnapshotParams>): SnapshotId => ({
    ...{ project, job, index },
    name: snapshot,
  });
  const hostsOf = async (id: SnapshotId) => {
    const found = await images.inspect(snapshotImage(id), undefined);
    if (found.ok) return found.value.items.map(({ host }) => host);
    if (found.error.code !== "image.not_found") throw new Refusal(found.error);
    const detail = `no host that answers has a snapshot ${id.name} of ${id.project}/${id.job}[${id.index}]; berth snapshot ls shows what there is`;
    throw new Refusal(problem("snapshot.not_found", detail));
  };
  /** How it ended on this host, or stands after a while. */
  const endOf = async (id: string, item: ImageOrders["items"][number]): Promise<ImageOrders["items"][number]> => {
    let { operation } = item;
    for (let look = 0; look < LOOKS && operation?.state === "running"; look += 1) {
      const seen = await images.watch(item.host, id, operation.revision, LOOK_MS);
      if (!seen.ok) break;
      operation = seen.value;
    }
    return { ...item, operation };
  };
  const startFrom = async (request: Parameters<typeof originOf>[0], id: SnapshotId, clone: SnapshotClone | null) => {
    await hostsOf(id);
    const key = idempotencyKeyOf(request.headers["idempotency-key"]);
    return orRefuse(await api.startFromSnapshot(id, clone, originOf(request), key));
  };

  server.post(
    Routes.allocationSnapshots,
    {
      schema: {
        summary: "Keep what a container wrote under a name",
        description: "It has ended, or is paused; one that runs is refused.",
        params: AllocationParams,
        body: SnapshotRequestSchema,
        response: { 200: ImageOrdersSchema, ...problems },
      },
    },
    async (request) => {
      const { allocation } = request.params;
      const { host, index, job, project } = await writtenPlace(control, request, allocation);
      const name = request.body.name ?? nameOfNow();
      await audit.made(request);
      const image = snapshotImage({ project, job, index, name });
      // Its own host looks again. One that does not answer now may have such a one all the same.
      const before = await images.inspect(image, undefined);
      if (before.ok) {
        const on = before.value.items.map(({ host }) => host).join(", ");
        const detail = `${image} is there already, on ${on}: remove it first, or choose another name`;
        throw new Refusal(problem("snapshot.exists", detail));
      }
      return orRefuse(await images.snapshot(host, allocation, image));
    },
  );

  server.get(
    Routes.snapshots,
    {
      schema: {
        summary: "Snapshots on hosts",
        querystring: Type.Object(
          { host: Type.Optional(HostIdSchema), project: Type.Optional(ProjectNameSchema) },
          strict,
        ),
        response: { 200: SnapshotListSchema, ...problems },
      },
    },
    async (request) => {
      const { host: only, project } = request.query;
      refuseForeignProject(request, project);
      const who = principalOf(request);
      const { items, silent } = await images.list(only === undefined ? undefined : [only]);
      return {
        items: items.flatMap(({ host, image }) => {
          const id = snapshotOf(image.name);
          if (id === undefined || (project ?? id.project) !== id.project || !seesProject(who, id.project)) return [];
          const { broughtAtMs: madeAtMs, name, sizeBytes, uses } = image;
          return [{ ...id, image: name, host, sizeBytes, uses, madeAtMs }];
        }),
        silent,
      };
    },
  );

  server.post(
    Routes.snapshotRestore,
    {
      schema: {
        summary: "Start the job of a snapshot from it",
        description: "A new version of the job, with the snapshot for its image. Only of a job with one task.",
        params: SnapshotParams,
        response: { 200: SubmittedSchema, ...problems },
      },
    },
    async (request) => startFrom(request, idOf(request.params), null),
  );

  server.post(
    Routes.snapshotClone,
    {
      schema: {
        summary: "Start another job from a snapshot",
        description: "One task, as the job of the snapshot says, under another name.",
        params: SnapshotParams,
        body: SnapshotCloneSchema,
        response: { 200: SubmittedSchema, ...problems },
      },
    },
    async (request) => startFrom(request, idOf(request.params), request.body),
  );

  server.post(
    Routes.snapshotRemove,
    {
      schema: {
        summary: "Remove a snapshot",
        description: "From every host that answers and has it.",
        params: SnapshotParams,
        response: { 200: ImageOrdersSchema, ...problems },
      },
    },
    async (request) => {
      const id = idOf(request.params);
      const image = snapshotImage(id);
      const hosts = await hostsOf(id);
      const origin = originOf(request);
      orRefuse(await api.beginRemoval(id, origin));
      try {
        await audit.made(request);
        const orders = orRefuse(await images.order({ hosts, request: { kind: "remove", image } }));
        const items = await Promise.all(orders.items.map((one) => endOf(orders.id, one)));
        return { ...orders, items };
      } finally {
        await api.endRemoval(id, origin);
      }
    },
  );
};
