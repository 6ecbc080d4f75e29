/**
 * What a job may say about the container its program runs in, beyond resources: as written in a document, and as kept in
 * a spec. The names of the kept form are those of the runtime, so that an agent passes it on as it is. What needs an
 * operator's consent (dangerous capabilities, host programs) is not among it, but for one: doing without the system call
 * filter, which a project and the host must both permit.
 */
import Type, { type Static } from "#typebox";

const strict = { additionalProperties: false } as const;

/** Capabilities that stay inside of the container's own user namespace and were never part of an escape. */
const GRANTABLE_CAPABILITIES = [
  "audit_write",
  "chown",
  "dac_override",
  "fowner",
  "fsetid",
  "ipc_lock",
  "ipc_owner",
  "kill",
  "lease",
  "mknod",
  "net_bind_service",
  "net_broadcast",
  "net_raw",
  "setfcap",
  "setgid",
  "setpcap",
  "setuid",
  "sys_chroot",
  "sys_nice",
  "sys_resource",
] as const;

export const RLIMITS = [
  "as",
  "core",
  "cpu",
  "data",
  "fsize",
  "locks",
  "memlock",
  "msgqueue",
  "nice",
  "nofile",
  "nproc",
  "rss",
  "rtprio",
  "rttime",
  "sigpending",
  "stack",
] as const;

const quantity = (description: string) => Type.Union([Type.String({ maxLength: 32 }), Type.Number()], { description });
const bound = Type.Union([Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }), Type.Literal("unlimited")]);
const softAndHard = Type.Object({ soft: bound, hard: bound }, strict);
const capability = Type.Enum([...GRANTABLE_CAPABILITIES]);
const principal = Type.String({ pattern: "^[A-Za-z0-9_.-]{1,32}$" });
const sysctls = Type.Record(
  Type.String({
    pattern: "^(kernel\\.(shm[a-z_]*|msg[a-z_]*|sem)|fs\\.mqueue\\.[a-z_]+|net\\.[A-Za-z0-9_.-]{1,128})$",
  }),
  Type.Union([Type.String({ pattern: "^[A-Za-z0-9 _.:,/-]{1,256}$" }), Type.Integer()]),
  { additionalProperties: false, maxProperties: 64, description: "of the container's own namespaces" },
);

export const ContainerOptionsSchema = Type.Object(
  {
    init: Type.Optional(
      Type.Boolean({ description: "false: the program itself is PID 1, as init systems want it; default: true" }),
    ),
    readOnlyRoot: Type.Optional(Type.Boolean({ description: "nothing of the image can be changed; default: false" })),
    groups: Type.Optional(
      Type.Array(principal, { maxItems: 64, description: "further groups of the user, by name or number" }),
    ),
    umask: Type.Optional(Type.String({ pattern: "^0?[0-7]{3}$", description: 'octal, in quotes; default: "022"' })),
    capabilities: Type.Optional(
      Type.Object(
        {
          add: Type.Optional(Type.Array(capability, { maxItems: 32 })),
          drop: Type.Optional(
            Type.Array(Type.Enum(["all", ...GRANTABLE_CAPABILITIES]), { maxItems: 32, description: "taken first" }),
          ),
        },
        strict,
      ),
    ),
    rlimits: Type.Optional(
      Type.Object(Object.fromEntries(RLIMITS.map((name) => [name, Type.Optional(Type.Union([bound, softAndHard]))])), {
        ...strict,
        description: "of each process: a number for both bounds, or { soft, hard }",
      }),
    ),
    sysctls: Type.Optional(sysctls),
    seccomp: Type.Optional(
      Type.Enum(["default", "unconfined"], {
        description:
          "unconfined: without the filter of system calls, where the project and the host permit it; default: default",
      }),
    ),
    tmpfs: Type.Optional(
      Type.Array(
        Type.Object(
          {
            target: Type.String({ pattern: "^/", maxLength: 4096, description: "where it appears, an absolute path" }),
            size: Type.Optional(quantity("at most; default: the memory limit, which it counts against")),
          },
          strict,
        ),
        { maxItems: 32, description: "file systems in memory" },
      ),
    ),
    shm: Type.Optional(quantity("size of /dev/shm: 256Mi")),
    oomScore: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 1000, description: "higher: killed earlier when the host is out of memory" }),
    ),
    stopSignal: Type.Optional(
      Type.String({ pattern: "^SIG[A-Z0-9+]{2,10}$", description: "asks the program to end; default: SIGTERM" }),
    ),
  },
  strict,
);

const keptMount = Type.Object(
  {
    kind: Type.Enum(["tmpfs", "shm"]),
    target: Type.String(),
    sizeBytes: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  strict,
);

export const ContainerSettingsSchema = Type.Object(
  {
    init: Type.Optional(Type.Boolean()),
    readOnlyRoot: Type.Optional(Type.Boolean()),
    groups: Type.Optional(Type.Array(Type.String())),
    umask: Type.Optional(Type.Integer({ minimum: 0, maximum: 0o777 })),
    capabilities: Type.Optional(
      Type.Object(
        {
          add: Type.Optional(Type.Array(capability)),
          drop: Type.Optional(Type.Array(Type.Enum(["all", ...GRANTABLE_CAPABILITIES]))),
        },
        strict,
      ),
    ),
    /** By the names of setrlimit(2), lower case and without RLIMIT_. */
    rlimits: Type.Optional(Type.Record(Type.String(), softAndHard)),
    sysctls: Type.Optional(Type.Record(Type.String(), Type.String())),
    seccomp: Type.Optional(Type.Literal("unconfined")),
    mounts: Type.Optional(Type.Array(keptMount)),
    oomScoreAdj: Type.Optional(Type.Integer()),
    stopSignal: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
  },
  strict,
);

export type ContainerOptions = Static<typeof ContainerOptionsSchema>;
export type ContainerSettings = Static<typeof ContainerSettingsSchema>;

/** Whether a job does without the filter of system calls, for which its project and the host need to permit it. */
export const isUnconfined = ({ container }: { readonly container?: ContainerSettings | undefined }): boolean =>
  container?.seccomp === "unconfined";
