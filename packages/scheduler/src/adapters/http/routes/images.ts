/** Images on hosts: lists, operations, archives in and out. */
import {
  Type,
  HostIdSchema,
  IMAGE_FORMATS,
  ImageDataTakenSchema,
  ImageDetailsSchema,
  ImageListSchema,
  ImageNamedSchema,
  ImageNameSchema,
  ImageOperationIdSchema,
  ImageOperationListSchema,
  ImageOperationSchema,
  ImageOrderSchema,
  ImageOrdersSchema,
  isLabel,
  MAX_IMAGE_DATA_BYTES,
  NameImageSchema,
  parseDurationMs,
  problem,
  projectOfImage,
  Routes,
  snapshotOf,
  type HostId,
  type ImageOperation,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { needToName } from "../../../app/image-names.ts";
import { refusalOf, seesProject, type Need } from "../../../core/index.ts";
import { acceptPieces, answerArchive, archiveResponse, pieceOf, pieceProperties } from "../archives.ts";
import type { AuditHook } from "../audit.ts";
import { originOf, principalOf } from "../auth.ts";
import { orRefuse, Refusal } from "../problems.ts";
import type { Principal, Server } from "../server-type.ts";
import { problems } from "../shapes.ts";
import { goneSignal } from "./jobs.ts";

const strict = { additionalProperties: false } as const;
const OperationParams = Type.Object({ host: HostIdSchema, operation: ImageOperationIdSchema }, strict);
const MAX_WAIT_MS = 10_000;

const hostsOf = (text: string): HostId[] => {
  const names = text.split(",");
  const wrong = names.find((name) => !isLabel(name));
  if (wrong === undefined) return names as HostId[];
  throw new Refusal(problem("request.invalid", `querystring/hosts: "${wrong.slice(0, 64)}" is no name of a host`));
};

const waitOf = (text: string | undefined): number => {
  if (text === undefined) return 0;
  const parsed = parseDurationMs(text);
  if (parsed.ok) return Math.min(parsed.value, MAX_WAIT_MS);
  throw new Refusal(problem("request.invalid", `querystring/wait: ${parsed.error}`));
};

/** What a task of another project wrote is not there for those who do not see that project. */
const isHidden = (who: Principal, image: string): boolean => {
  const owner = snapshotOf(image)?.project;
  return owner !== undefined && !seesProject(who, owner);
};

/** Of files of containers and volumes; whoever asks for those is answered by the routes that began them. */
const OF_FILES = new Set<ImageOperation["kind"]>(["root", "volume_export", "volume_import"]);

/** What beginning such an operation took, at least. */
const needToBegin = (kind: ImageOperation["kind"], image: string | null): Need => {
  const project = image === null ? undefined : projectOfImage(image);
  const isOwn = kind === "commit" || kind === "snapshot" || (kind === "remove" && isSnapshot(image));
  return isOwn && project !== undefined ? { role: "submitter", project } : { role: "operator" };
};

const isSnapshot = (image: string | null): boolean => image !== null && snapshotOf(image) !== undefined;

export const addImageRoutes = (server: Server, { api, images }: Control, audit: AuditHook): void => {
  server.post(
    Routes.imageNames,
    {
      schema: {
        summary: "Say which manifest a name of the cluster stands for",
        description: "Hosts start nothing else under it. With null it stands for nothing any more.",
        body: NameImageSchema,
        response: { 200: ImageNamedSchema, ...problems },
      },
    },
    async (request) => {
      const refused = refusalOf(principalOf(request), needToName(request.body.image));
      if (refused !== undefined) throw new Refusal(refused);
      return orRefuse(await api.nameImage(request.body, originOf(request)));
    },
  );

  server.get(
    Routes.images,
    {
      schema: {
        summary: "Images on hosts",
        querystring: Type.Object({ host: Type.Optional(HostIdSchema) }, strict),
        response: { 200: ImageListSchema, ...problems },
      },
    },
    async (request) => {
      const { host } = request.query;
      const { items, silent } = await images.list(host === undefined ? undefined : [host]);
      const who = principalOf(request);
      return { items: items.filter(({ image }) => !isHidden(who, image.name)), silent };
    },
  );

  server.get(
    Routes.imageInspect,
    {
      schema: {
        summary: "One image, on every host that has it",
        querystring: Type.Object({ image: ImageNameSchema, host: Type.Optional(HostIdSchema) }, strict),
        response: { 200: ImageDetailsSchema, ...problems },
      },
    },
    async (request) => {
      const { host, image } = request.query;
      if (isHidden(principalOf(request), image)) {
        throw new Refusal(problem("image.not_found", `no host has ${image}`));
      }
      return orRefuse(await images.inspect(image, host === undefined ? undefined : [host]));
    },
  );

  server.post(
    Routes.imageOperations,
    {
      schema: {
        summary: "Pull, push, import, remove, prune or check images on hosts",
        description: "Starts an operation on each host, under one id, and answers at once.",
        body: ImageOrderSchema,
        response: { 200: ImageOrdersSchema, ...problems },
      },
    },
    async (request) => {
      await audit.made(request);
      return orRefuse(await images.order(request.body));
    },
  );

  server.get(
    Routes.imageOperations,
    {
      schema: {
        summary: "Operations on images that run now",
        querystring: Type.Object({ host: Type.Optional(HostIdSchema) }, strict),
        response: { 200: ImageOperationListSchema, ...problems },
      },
    },
    async (request) => {
      const { host } = request.query;
      const { items, silent } = await images.running(host === undefined ? undefined : [host]);
      const who = principalOf(request);
      const isSeen = ({ image, kind }: ImageOperation): boolean =>
        !OF_FILES.has(kind) && (image === null || !isHidden(who, image));
      return { items: items.filter(({ operation }) => isSeen(operation)), silent };
    },
  );

  server.get(
    Routes.imageOperation,
    {
      schema: {
        summary: "How far an operation is",
        params: OperationParams,
        querystring: Type.Object(
          {
            revision: Type.Optional(Type.Integer({ minimum: 0 })),
            wait: Type.Optional(Type.String({ maxLength: 32 })),
          },
          strict,
        ),
        response: { 200: ImageOperationSchema, ...problems },
      },
    },
    async (request) => {
      const { host, operation } = request.params;
      const { revision = 0, wait } = request.query;
      const one = orRefuse(await images.watch(host, operation, revision, waitOf(wait)));
      if (OF_FILES.has(one.kind) || (one.image !== null && isHidden(principalOf(request), one.image))) {
        throw new Refusal(problem("operation.not_found", `there is no operation ${operation} on images of ${host}`));
      }
      return one;
    },
  );

  server.post(
    Routes.imageOperationCancel,
    {
      schema: {
        summary: "Give an operation up",
        params: OperationParams,
        response: { 200: ImageOperationSchema, ...problems },
      },
    },
    async (request) => {
      const { host, operation } = request.params;
      const { image, kind } = orRefuse(await images.watch(host, operation, 0, 0));
      const refused = refusalOf(principalOf(request), needToBegin(kind, image));
      if (refused !== undefined) throw new Refusal(refused);
      await audit.made(request);
      return orRefuse(await images.cancel(host, operation));
    },
  );

  server.get(
    Routes.imageExport,
    {
      // Its body is a whole image: nobody should have it made for nothing.
      exposeHeadRoute: false,
      schema: {
        summary: "An image as an archive",
        querystring: Type.Object(
          { image: ImageNameSchema, host: HostIdSchema, format: Type.Optional(Type.Enum([...IMAGE_FORMATS])) },
          strict,
        ),
        response: {
          200: archiveResponse("a tar archive: an OCI layout, or what docker load reads"),
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const gone = goneSignal(reply.raw);
      const { format = "oci", host, image } = request.query;
      await audit.made(request);
      const pieces = orRefuse(await images.exported(host, { kind: "export", image, format }, gone));
      return answerArchive(request, reply, pieces);
    },
  );

  server.register(async (scope) => {
    acceptPieces(scope);
    (scope as unknown as Server).post(
      Routes.imageData,
      {
        bodyLimit: MAX_IMAGE_DATA_BYTES,
        schema: {
          summary: "A piece of an archive that is imported",
          description:
            "In order; a piece that is sent again is not taken twice. Answered when every host has taken it or given up.",
          consumes: ["application/octet-stream"],
          params: Type.Object({ operation: ImageOperationIdSchema }, strict),
          querystring: Type.Object(
            {
              hosts: Type.String({ maxLength: 65_536 }),
              ...pieceProperties,
            },
            strict,
          ),
          response: { 200: ImageDataTakenSchema, ...problems },
        },
      },
      async (request) => {
        return images.write(request.params.operation, hostsOf(request.query.hosts), pieceOf(request));
      },
    );
  });
};
