/*
 * The container spec as bytes: what lib/spec.ts writes and src/supervisor/spec.c reads, nothing else.
 *
 * One flat little-endian buffer: a fixed header, then arrays and strings anywhere behind it. A reference is an offset
 * from the start of the buffer. Every string ends with a NUL that `length` does not count and holds no other, so that
 * the supervisor can use it in place. The supervisor believes nothing: it checks every reference before the first use.
 * A change of this layout is a new BERTH_SPEC_VERSION. At a start the two sides are of one build; a request to execute may
 * meet an older supervisor, so that a new version is a new BERTH_CONTROL_LEVEL as well (see lib/exec.ts).
 */
#ifndef BERTH_SPEC_H
#define BERTH_SPEC_H

#include <stdint.h>

#define BERTH_SPEC_MAGIC 0x48545242u /* "BRTH" */
#define BERTH_SPEC_VERSION 4u

#define BERTH_SPEC_MAX_BYTES 4194304u
#define BERTH_MAX_LAYERS 64u
#define BERTH_MAX_ARGS 4096u
#define BERTH_MAX_ENV 4096u
#define BERTH_MAX_MOUNTS 128u
#define BERTH_MAX_HIERARCHIES 16u
#define BERTH_MAX_CGROUP_WRITES 256u
#define BERTH_MAX_CGROUP_FILE 63u
#define BERTH_MAX_CGROUP_VALUE 255u
#define BERTH_MAX_GROUPS 64u
#define BERTH_MAX_RLIMITS 16u
#define BERTH_MAX_PATHS 64u /* masked, and read-only ones */
#define BERTH_MAX_SYSCTLS 64u
#define BERTH_MAX_DEVICES 64u
#define BERTH_MAX_JOINS 8u
#define BERTH_MAX_HOOKS 16u
#define BERTH_MAX_FILTER 4096u /* BPF_MAXINSNS */
#define BERTH_MAX_USER 256u
#define BERTH_MAX_SECRETS 64u
#define BERTH_MAX_SECRET_BYTES 65536u
#define BERTH_MAX_SECRET_NAME 128u
/* Linux MAX_ARG_STRLEN, execve(2): one argument with its NUL. */
#define BERTH_MAX_STRING 131071u
#define BERTH_MAX_PATH 4095u
#define BERTH_MAX_ID 64u
#define BERTH_MAX_HOSTNAME 64u
/* A range of ids is always this long, and never touches the host's first 65536. */
#define BERTH_ID_COUNT 65536u

struct berth_ref {
  uint32_t offset;
  uint32_t length;
};

struct berth_list {
  uint32_t offset; /* multiple of 8 */
  uint32_t count;
};

struct berth_pair {
  struct berth_ref name;
  struct berth_ref value;
};

enum berth_mount_kind {
  BERTH_MOUNT_BIND = 1,
  BERTH_MOUNT_TMPFS,
  BERTH_MOUNT_PROC,
  BERTH_MOUNT_SYSFS,
  BERTH_MOUNT_MQUEUE,
  BERTH_MOUNT_DEVPTS,
  BERTH_MOUNT_SHM,
  BERTH_MOUNT_CGROUP,
};

#define BERTH_MOUNT_READ_ONLY 1u
#define BERTH_MOUNT_NOEXEC 2u
#define BERTH_MOUNT_FLAT 4u  /* bind: without what is mounted below the source */
#define BERTH_MOUNT_SLAVE 8u /* bind: mounts that the host makes below the source appear inside later */

struct berth_mount {
  struct berth_ref source; /* bind only: on the host */
  struct berth_ref target;
  uint32_t kind;
  uint32_t flags;
  uint64_t size;   /* tmpfs and shm, in bytes; 0: shm_bytes */
  uint32_t inodes; /* tmpfs and shm; 0: no limit but memory */
  uint32_t mode;   /* of the root of a tmpfs or shm */
};

#define BERTH_CONTROLLER_CPU 1u
#define BERTH_CONTROLLER_MEMORY 2u
#define BERTH_CONTROLLER_PIDS 4u
#define BERTH_CONTROLLER_FREEZER 8u
#define BERTH_CONTROLLER_CPUACCT 16u
#define BERTH_CONTROLLER_CPUSET 32u
#define BERTH_CONTROLLER_IO 64u
#define BERTH_CONTROLLER_HUGETLB 128u
#define BERTH_CONTROLLER_DEVICES 256u

/* A mounted cgroup hierarchy and the controllers that Berth uses in it. */
struct berth_hierarchy {
  struct berth_ref path;
  uint32_t version; /* 1 or 2 */
  uint32_t controllers;
};

/* One control file of the container's cgroup: a plain name like `memory.max`, and what is written into it. */
struct berth_cgroup_write {
  uint32_t hierarchy; /* index */
  struct berth_ref file;
  struct berth_ref value;
};

#define BERTH_MAX_LINK 15u /* IFNAMSIZ without its NUL */

enum berth_network_kind {
  BERTH_NETWORK_BRIDGE = 1, /* a port of a bridge of the host */
  BERTH_NETWORK_ROUTED,     /* alone, with a route of the host to its one address */
};

#define BERTH_NETWORK_HAIRPIN 1u  /* what it sends to its own outer address comes back */
#define BERTH_NETWORK_ISOLATED 2u /* nothing to other isolated ports of the bridge */

/* An Ethernet interface, eth0 inside. Addresses are IPv4 numbers: 10.0.0.1 is 0x0a000001. */
struct berth_network {
  struct berth_ref link;   /* name of the end on the host */
  struct berth_ref bridge; /* empty when it is routed */
  uint64_t egress_bytes_per_second; /* what the container sends; 0: as fast as it can */
  uint64_t ingress_bytes_per_second;
  uint32_t kind;
  uint32_t flags;
  uint32_t address;
  uint32_t prefix;
  uint32_t gateway; /* 0: none; a routed one has its own */
  uint32_t mtu;
};

/* Attach lower layers to a private mount namespace before overlayfs sees them: kernels before 6.15 need it. */
#define BERTH_SPEC_ATTACH_LAYERS 1u
#define BERTH_SPEC_READ_ONLY_ROOT 2u
/* A request to execute in a running container: its command, environment, stdio, process section and, with the second
   flag, its working directory count; everything else is the container's own. */
#define BERTH_SPEC_EXEC 256u
#define BERTH_SPEC_EXEC_WORKDIR 512u
#define BERTH_SPEC_NO_INIT 4u /* the program itself is PID 1 */
/* The program is the init of a whole distribution: it has a cgroup tree of its own, mounts and may gain rights inside. */
#define BERTH_SPEC_MACHINE 8u
/* The files of the layers have the container's own ids on disk: nothing is to be mapped. */
#define BERTH_SPEC_SHIFTED_LAYERS 16u

struct berth_rlimit {
  uint32_t resource; /* RLIMIT_* */
  uint32_t reserved;
  uint64_t soft; /* UINT64_MAX: unlimited, as RLIM_INFINITY */
  uint64_t hard;
};

#define BERTH_PROCESS_OOM_SCORE 1u

/* Who the program is and what it may. */
struct berth_process {
  struct berth_ref user;     /* "name", "uid", "name:group" …; empty: root */
  struct berth_list groups;  /* berth_ref: supplementary, names or gids */
  struct berth_list rlimits; /* berth_rlimit */
  /* Permitted and effective are the bounding set: as root they become it at exec anyway (capabilities(7)). */
  uint64_t bounding;
  uint64_t inheritable;
  uint64_t ambient;
  uint32_t flags;
  uint32_t umask;
  int32_t oom_score_adj;
  uint32_t reserved;
};

/* Those that Berth can leave to a container at all. What it keeps back acts on the host, not on a namespace. */
#define BERTH_CAPABILITIES_DEFAULT UINT64_C(0x00000000800405fb)
#define BERTH_CAPABILITIES_MOST UINT64_C(0x00000000b9ecfdff)

#define BERTH_SECCOMP_DEFAULT 0u
#define BERTH_SECCOMP_NONE 1u

struct berth_instruction { /* struct sock_filter */
  uint16_t code;
  uint8_t jt;
  uint8_t jf;
  uint32_t k;
};

struct berth_security {
  struct berth_list filter;    /* berth_instruction: one more filter, for the program alone */
  struct berth_list masked;    /* berth_ref: paths beside the default ones */
  struct berth_list read_only; /* berth_ref */
  struct berth_list sysctls;   /* berth_pair: "net/core/somaxconn", "128" */
  uint32_t seccomp;
  uint32_t reserved;
};

#define BERTH_DEVICE_MKNOD 1u /* as BPF_DEVCG_ACC_* */
#define BERTH_DEVICE_READ 2u
#define BERTH_DEVICE_WRITE 4u

struct berth_device {
  struct berth_ref path; /* below /dev */
  uint32_t type;         /* 'b' or 'c' */
  uint32_t major;
  uint32_t minor;
  uint32_t mode;
  uint32_t uid; /* inside */
  uint32_t gid;
  uint32_t access;
  uint32_t reserved;
};

struct berth_devices {
  struct berth_list nodes; /* berth_device */
};

struct berth_join {
  uint32_t kind; /* CLONE_NEW* */
  uint32_t fd;   /* index among the descriptors behind BERTH_FD_COUNT */
};

#define BERTH_NAMESPACES_TIME 1u

struct berth_namespaces {
  struct berth_list joins;
  struct berth_ref domainname; /* empty: none */
  uint32_t flags;
  uint32_t reserved;
  int64_t monotonic_ms; /* added to the host's clock, time_namespaces(7) */
  int64_t boottime_ms;
};

enum berth_hook_point {
  BERTH_HOOK_CREATE_RUNTIME = 1, /* namespaces and mounts are there, the program is not */
  BERTH_HOOK_STARTED,
  BERTH_HOOK_STOPPED,
};

struct berth_hook {
  struct berth_list argv; /* argv[0]: absolute path on the host */
  struct berth_list env;
  uint32_t point;
  uint32_t timeout_ms;
};

struct berth_hooks {
  struct berth_list hooks; /* in the order of their execution */
};

/* It is stopped at that time, and killed after the grace, unless BERTH_OP_RENEW comes before. */
struct berth_lease {
  uint64_t until_ms; /* on CLOCK_BOOTTIME */
  uint32_t grace_ms;
  uint32_t reserved;
};

struct berth_secret {
  struct berth_ref name;  /* a plain file name */
  struct berth_ref value; /* any bytes, and a NUL behind them that is not part of it */
};

/* Files in memory that only the program's user can read, below `target`. */
struct berth_secrets {
  struct berth_ref target;
  struct berth_list files; /* berth_secret */
};

/* Optional parts. One that nobody asked for has length 0 and costs nothing. */
enum berth_section {
  BERTH_SECTION_PROCESS,
  BERTH_SECTION_SECURITY,
  BERTH_SECTION_DEVICES,
  BERTH_SECTION_NAMESPACES,
  BERTH_SECTION_HOOKS,
  BERTH_SECTION_NETWORK,
  BERTH_SECTION_LEASE,
  BERTH_SECTION_SECRETS,
  BERTH_SECTION_COUNT,
};

#define BERTH_STDIO_PIPE 1u      /* standard input is a pipe that attached clients write to, not /dev/null */
#define BERTH_STDIO_TERMINAL 2u  /* all three are a terminal of its own */
#define BERTH_STDIO_LOG_WAITS 4u /* what is written beyond log_per_second waits instead of being discarded */

#define BERTH_MAX_LOG_FILES 64u
#define BERTH_MAX_LOG_RATE (UINT64_C(1) << 40)

struct berth_spec {
  uint32_t magic;
  uint32_t version;
  uint32_t size;
  uint32_t flags;
  uint64_t shm_bytes;      /* size of /dev/shm */
  uint64_t log_bytes;      /* of all files of the log; 0: nothing is kept */
  uint64_t log_per_second; /* bytes of output that are kept; 0: no limit */
  uint32_t id_base;
  uint32_t log_files;
  uint32_t stdio;
  uint32_t terminal_size; /* rows << 16 | columns */
  uint32_t stop_signal; /* what `stop` sends when it is not told */
  uint32_t disk_mib;    /* what it may write over its layers, in MiB; 0: no limit */
  struct berth_ref id;
  struct berth_ref hostname;
  struct berth_ref workdir;
  struct berth_ref cgroup_parent; /* relative, no ".." */
  struct berth_list layers;       /* berth_ref, topmost first */
  struct berth_list argv;         /* berth_ref */
  struct berth_list env;          /* berth_ref, NAME=value */
  struct berth_list mounts;       /* berth_mount */
  struct berth_list hierarchies;  /* berth_hierarchy */
  struct berth_list cgroup_writes; /* berth_cgroup_write, done in this order in each hierarchy */
  struct berth_ref sections[BERTH_SECTION_COUNT];
};

#endif
