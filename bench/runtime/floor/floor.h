/*
 * The floor: one container with the content of a default Berth container, made with as few system calls as will do.
 * No supervisor, no init inside, no logs, no records, no checks of what an image may hold: what cannot be done faster
 * on this kernel. Independent of the sources of packages/native; bench/runtime/floor.ts compares what both make.
 */
#ifndef FLOOR_H
#define FLOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MAX_HIERARCHIES 16
#define ID_COUNT 65536u

/* What a variant leaves out, to see what it costs. */
enum {
  WITHOUT_NET = 1,
  WITHOUT_CGROUPS = 2,
  WITHOUT_MOUNTS = 4, /* /proc, /sys, /dev and the masks; the overlay stays */
  WITHOUT_FILTER = 8, /* capabilities and seccomp */
  WITHOUT_USER = 16,
  WITHOUT_OVERLAY = 32, /* a read-only bind of the layer */
  WITHOUT_ALL = 64,     /* a plain vfork and exec */
};

struct hierarchy {
  const char *path;
  int version;
  bool cpu, memory, pids;
};

struct floor {
  const char *layer;
  int state;          /* directory for upper directories */
  const char *parent; /* of the cgroups */
  struct hierarchy hierarchies[MAX_HIERARCHIES];
  unsigned hierarchy_count;
  char *const *argv; /* program inside */
  uint32_t id_base;
};

struct container {
  unsigned serial;
  unsigned variant;
  pid_t pid;
  int pidfd;
  uint64_t begin_us;
  int cgroups[MAX_HIERARCHIES]; /* directories */
  int tasks[MAX_HIERARCHIES];
};

uint64_t now_us(void);
_Noreturn void die(const char *what);

/* Everything up to the exec of the program, which happens in the child at its own pace. */
void container_start(const struct floor *floor, struct container *container);
/* Waits for the end; its wait status. */
int container_wait(struct container *container);
void container_remove(const struct floor *floor, struct container *container);

/* In the child. `socket` brings the root and /dev as descriptors, once ids are mapped. */
_Noreturn void inside(const struct floor *floor, const struct container *container, int socket);

#endif
