/*
 * The container spec as bytes: what lib/spec.ts writes and src/supervisor/spec.c reads, nothing else.
 *
 * One flat little-endian buffer: a fixed header, then arrays and strings anywhere behind it. A reference is an offset
 * from the start of the buffer. Every string ends with a NUL that `length` does not count and holds no other, so that
 * the supervisor can use it in place. The supervisor believes nothing: it checks every reference before the first use.
 * A change of this layout is a new BERTH_SPEC_VERSION; the two sides are always built together.
 */
#ifndef BERTH_SPEC_H
#define BERTH_SPEC_H

#include <stdint.h>

#define BERTH_SPEC_MAGIC 0x48545242u /* "BRTH" */
#define BERTH_SPEC_VERSION 2u

#define BERTH_SPEC_MAX_BYTES 4194304u
#define BERTH_MAX_LAYERS 64u
#define BERTH_MAX_ARGS 4096u
#define BERTH_MAX_ENV 4096u
#define BERTH_MAX_MOUNTS 128u
#define BERTH_MAX_HIERARCHIES 16u
#define BERTH_MAX_CGROUP_WRITES 256u
#define BERTH_MAX_CGROUP_FILE 63u
#define BERTH_MAX_CGROUP_VALUE 255u
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
  uint32_t offset; /* multiple of 4 */
  uint32_t count;
};

#define BERTH_MOUNT_READ_ONLY 1u

struct berth_mount {
  struct berth_ref source;
  struct berth_ref target;
  uint32_t flags;
  uint32_t reserved;
};

#define BERTH_CONTROLLER_CPU 1u
#define BERTH_CONTROLLER_MEMORY 2u
#define BERTH_CONTROLLER_PIDS 4u
#define BERTH_CONTROLLER_FREEZER 8u
#define BERTH_CONTROLLER_CPUACCT 16u
#define BERTH_CONTROLLER_CPUSET 32u
#define BERTH_CONTROLLER_IO 64u
#define BERTH_CONTROLLER_HUGETLB 128u

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

/* Attach lower layers to a private mount namespace before overlayfs sees them: kernels before 6.15 need it. */
#define BERTH_SPEC_ATTACH_LAYERS 1u

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
};

#endif
