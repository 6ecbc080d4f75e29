/**
 * The job document as people write it, and the job spec that Berth keeps: the same thing with every default filled in and
 * every quantity an integer. `parseJobDocument` is the only way from one to the other.
 */
import Type, { type Static } from "#typebox";
import { ContainerOptionsSchema, ContainerSettingsSchema } from "./container-options.ts";
import { DEVICE_KIND, DeviceAskSchema, DeviceModelSchema, MAX_DEVICE_ASKS, MAX_DEVICES } from "./devices.ts";
import { JobNameSchema, ProjectNameSchema } from "./ids.ts";
import { PlacementRulesSchema } from "./placement-rules.ts";
import {
  DisruptionSchema,
  GangDocumentSchema,
  GangMinSchema,
  PriorityDocumentSchema,
  PrioritySchema,
} from "./policy.ts";
import { NetworkDocumentSchema } from "./network.ts";
import { MAX_PORTS, PortAskSchema, PortDocumentSchema } from "./ports.ts";
import { MAX_SECRETS_PER_JOB, SecretUseSchema } from "./secret.ts";
import { FURTHER_DIMENSION, LimitsSchema, MAX_FURTHER, MAX_PIDS, ResourcesSchema } from "./resources.ts";

const quantity = (description: string) => Type.Union([Type.String({ maxLength: 32 }), Type.Number()], { description });
const duration = (description: string) => Type.String({ maxLength: 32, description });
const strict = { additionalProperties: false } as const;

export const JOB_KINDS = ["service", "batch", "daemon"] as const;
export const MAX_TASKS = 100_000;
const count = (description: string) => Type.Integer({ minimum: 1, maximum: MAX_TASKS, description });
const absolute = (description: string) => Type.String({ pattern: "^/", maxLength: 4096, description });
const envValue = Type.Union([Type.String({ maxLength: 131_072 }), Type.Number(), Type.Boolean()]);
const exitCodes = Type.Array(Type.Integer({ minimum: 0, maximum: 255 }), { maxItems: 256 });

export const JobDocumentSchema = Type.Object(
  {
    name: JobNameSchema,
    project: Type.Optional(ProjectNameSchema),
    kind: Type.Enum([...JOB_KINDS], {
      description: "service: runs until stopped; batch: runs to its end; daemon: one task on every host, until stopped",
    }),
    image: Type.String({
      minLength: 1,
      maxLength: 512,
      description: "oci://REGISTRY/REPOSITORY:TAG, distro://debian/RELEASE, or builtin://busybox",
    }),
    command: Type.Optional(
      Type.Array(Type.String({ maxLength: 131_072 }), {
        minItems: 1,
        maxItems: 1024,
        description: "program and arguments; ${INDEX} is the index of the task; default: those of the image",
      }),
    ),
    user: Type.Optional(
      Type.String({
        pattern: "^[A-Za-z0-9_.-]{1,32}(:[A-Za-z0-9_.-]{1,32})?$",
        description: "user, or user:group, by name or number, of the image; default: that of the image",
      }),
    ),
    env: Type.Optional(Type.Record(Type.String({ pattern: "^[A-Za-z_][A-Za-z0-9_]*$" }), envValue, strict)),
    workdir: Type.Optional(
      absolute("working directory inside the container, an absolute path; default: that of the image"),
    ),
    resources: Type.Optional(
      Type.Object(
        {
          cpu: Type.Optional(
            Type.Object(
              {
                request: Type.Optional(quantity("CPUs booked on the host: 0.5, 250m")),
                limit: Type.Optional(quantity("CPUs the kernel allows at most; without it, idle time may be used")),
                burst: Type.Optional(quantity("CPUs beyond the limit for a moment, of what was left unused before")),
                pin: Type.Optional(
                  Type.Boolean({
                    description:
                      "true: whole CPUs of one NUMA cell, and its memory, that no other pinned task has; default: false",
                  }),
                ),
              },
              strict,
            ),
          ),
          memory: Type.Optional(
            Type.Object(
              {
                request: Type.Optional(quantity("memory booked on the host: 256Mi")),
                limit: Type.Optional(quantity("memory the kernel allows at most; default: the request")),
                high: Type.Optional(quantity("beyond this the kernel slows the task down and takes memory back")),
                low: Type.Optional(quantity("not taken back while memory elsewhere can be")),
                swap: Type.Optional(quantity("swap space besides the limit; default: 0")),
              },
              strict,
            ),
          ),
          pids: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PIDS, description: "processes and threads" })),
          io: Type.Optional(
            Type.Object(
              {
                weight: Type.Optional(
                  Type.Integer({ minimum: 1, maximum: 1000, description: "share of a contended disk; default: 100" }),
                ),
              },
              strict,
            ),
          ),
          disk: Type.Optional(
            quantity(
              "disk space booked on the host, and the most that is written over the image where the host enforces it: 10Gi",
            ),
          ),
          network: Type.Optional(NetworkDocumentSchema),
          devices: Type.Optional(
            Type.Array(
              Type.Object(
                {
                  kind: Type.String({ pattern: DEVICE_KIND, description: "gpu" }),
                  count: Type.Optional(
                    Type.Integer({ minimum: 1, maximum: MAX_DEVICES, description: "different devices; default: 1" }),
                  ),
                  share: Type.Optional(quantity("of each device: 0.5, 500m; default: all of it")),
                  each: Type.Optional(
                    Type.Record(Type.String({ pattern: "^[a-z][A-Za-z0-9]{0,15}$" }), quantity("12Gi, 4"), {
                      additionalProperties: false,
                      maxProperties: 3,
                      description: "amounts of whatever else each device has: memoryBytes: 12Gi",
                    }),
                  ),
                  models: Type.Optional(
                    Type.Array(DeviceModelSchema, { minItems: 1, maxItems: 16, description: "one of these: A100" }),
                  ),
                },
                strict,
              ),
              { maxItems: MAX_DEVICE_ASKS, description: "GPUs and other devices of the host, whole or shared" },
            ),
          ),
          more: Type.Optional(
            Type.Record(
              Type.String({ pattern: FURTHER_DIMENSION }),
              Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
              {
                additionalProperties: false,
                maxProperties: MAX_FURTHER,
                description: "amounts of whatever else hosts say that they have: gpu: 1",
              },
            ),
          ),
        },
        strict,
      ),
    ),
    ports: Type.Optional(
      Type.Array(PortDocumentSchema, {
        maxItems: MAX_PORTS,
        description: "ports of its host that are this task's alone; booked, and not opened yet",
      }),
    ),
    replicas: Type.Optional(count("how many tasks a service has")),
    array: Type.Optional(
      Type.Object(
        { size: count("how many tasks a batch job has"), maxRunning: Type.Optional(count("how many at a time")) },
        strict,
      ),
    ),
    placement: Type.Optional(PlacementRulesSchema),
    priority: Type.Optional(PriorityDocumentSchema),
    disruption: Type.Optional(DisruptionSchema),
    gang: Type.Optional(GangDocumentSchema),
    container: Type.Optional(ContainerOptionsSchema),
    volumes: Type.Optional(
      Type.Array(
        Type.Object(
          {
            volume: Type.Optional(
              Type.String({
                minLength: 1,
                maxLength: 63,
                description: "a volume of the project by its name; data-${INDEX} is one for each task",
              }),
            ),
            source: Type.Optional(
              absolute(
                "directory or file of the host, an absolute path without symbolic links, where the host allows it",
              ),
            ),
            tmpfs: Type.Optional(Type.Boolean({ description: "true: in memory, gone with the container" })),
            target: absolute("where it appears in the container, an absolute path"),
            readOnly: Type.Optional(Type.Boolean()),
            shared: Type.Optional(
              Type.Boolean({ description: "other tasks may write the volume at the same time; default: false" }),
            ),
            size: Type.Optional(
              quantity("of a volume: booked on its host, by whoever is placed first; of tmpfs: at most"),
            ),
          },
          strict,
        ),
        { maxItems: 64, description: "each is one of volume, source and tmpfs" },
      ),
    ),
    secrets: Type.Optional(
      Type.Array(SecretUseSchema, {
        maxItems: MAX_SECRETS_PER_JOB,
        description: "secrets of the project (berth secret set), as files in memory or variables",
      }),
    ),
    outputs: Type.Optional(
      Type.Array(
        Type.Object(
          { path: absolute("directory in the container whose files are collected when it succeeds") },
          strict,
        ),
        {
          maxItems: 16,
        },
      ),
    ),
    restart: Type.Optional(
      Type.Object(
        {
          on: Type.Optional(Type.Enum(["failure", "always", "never"])),
          max: Type.Optional(
            Type.Integer({ minimum: 0, maximum: 1_000_000, description: "restarts of one task at most" }),
          ),
          backoff: Type.Optional(
            Type.String({ maxLength: 64, description: "wait before a restart, first..longest: 1s..60s" }),
          ),
          exitCodes: Type.Optional(
            Type.Object({ retry: Type.Optional(exitCodes), fatal: Type.Optional(exitCodes) }, strict),
          ),
        },
        strict,
      ),
    ),
    disconnect: Type.Optional(
      Type.Object(
        {
          after: Type.Optional(
            duration(
              "silence of its host before anything is done, though never before the host is disconnected: 90s; default: until the host is lost",
            ),
          ),
          action: Type.Optional(
            Type.Enum(["replace", "keep"], {
              description:
                "replace: another attempt runs elsewhere; keep: the task waits for its host; default: replace",
            }),
          ),
          singleton: Type.Optional(
            Type.Boolean({
              description: "never in two places: on a host that is cut off it is stopped before it may run elsewhere",
            }),
          ),
        },
        strict,
      ),
    ),
    timeouts: Type.Optional(
      Type.Object(
        {
          run: Type.Optional(duration("longest run of one attempt: 30m")),
          stop: Type.Optional(duration("time between the stop signal and the kill: 10s")),
        },
        strict,
      ),
    ),
  },
  { additionalProperties: false, $id: "JobDocument" },
);
/** What a user writes: YAML or JSON. */
export type JobDocument = Static<typeof JobDocumentSchema>;

const ms = Type.Integer({ minimum: 0 });
const nullable = <T extends ReturnType<typeof Type.Integer>>(schema: T) => Type.Union([schema, Type.Null()]);

export const JobSpecSchema = Type.Object(
  {
    name: JobNameSchema,
    project: ProjectNameSchema,
    kind: Type.Enum([...JOB_KINDS]),
    image: Type.String({ minLength: 1, maxLength: 512 }),
    /** Empty: what the image names. */
    command: Type.Array(Type.String()),
    /** Absent: that of the image. */
    user: Type.Optional(Type.String()),
    env: Type.Record(Type.String(), Type.String()),
    /** Empty: that of the image. */
    workdir: Type.String(),
    requests: ResourcesSchema,
    /** Each of another kind; their totals are in `requests.more`. */
    devices: Type.Optional(Type.Array(DeviceAskSchema, { maxItems: MAX_DEVICE_ASKS })),
    /** All of them are counted in `requests.more`. Absent: none. */
    ports: Type.Optional(Type.Array(PortAskSchema, { maxItems: MAX_PORTS })),
    limits: LimitsSchema,
    /** 0 of a daemon: its tasks follow the hosts. */
    count: Type.Integer({ minimum: 0, maximum: MAX_TASKS }),
    maxRunning: nullable(Type.Integer({ minimum: 1 })),
    placement: Type.Optional(PlacementRulesSchema),
    /** Absent: production, level 50. */
    priority: Type.Optional(PrioritySchema),
    disruption: Type.Optional(DisruptionSchema),
    /** Absent: each task for itself. */
    gangMin: Type.Optional(GangMinSchema),
    volumes: Type.Array(
      Type.Union([
        Type.Object({ source: Type.String(), target: Type.String(), readOnly: Type.Boolean() }, strict),
        /** `volume` may hold `${INDEX}`. `sizeBytes` 0: nothing is booked when it is made. */
        Type.Object(
          {
            volume: Type.String(),
            target: Type.String(),
            readOnly: Type.Boolean(),
            shared: Type.Boolean(),
            sizeBytes: ms,
          },
          strict,
        ),
      ]),
    ),
    /** Absent: none. Each has a file or a variable, or both. */
    secrets: Type.Optional(Type.Array(SecretUseSchema, { maxItems: MAX_SECRETS_PER_JOB })),
    outputs: Type.Array(Type.Object({ path: Type.String() }, strict)),
    container: Type.Optional(ContainerSettingsSchema),
    restart: Type.Object(
      {
        on: Type.Enum(["failure", "always", "never"]),
        max: nullable(Type.Integer({ minimum: 0 })),
        backoffFirstMs: ms,
        backoffLongestMs: ms,
        retryCodes: exitCodes,
        fatalCodes: exitCodes,
      },
      strict,
    ),
    runTimeoutMs: nullable(ms),
    stopTimeoutMs: ms,
    /** Absent: placed elsewhere when its host is lost. `afterMs` null: the cluster's own patience. */
    disconnect: Type.Optional(
      Type.Object({ afterMs: nullable(ms), action: Type.Enum(["replace", "keep"]), singleton: Type.Boolean() }, strict),
    ),
  },
  { additionalProperties: false },
);
/** What Berth keeps: complete, integers only, equal for equal documents. */
export type JobSpec = Static<typeof JobSpecSchema>;
/** A volume of the project, or a path of the host. */
export type VolumeMount = Extract<JobSpec["volumes"][number], { volume: string }>;
export type HostPathMount = Extract<JobSpec["volumes"][number], { source: string }>;
