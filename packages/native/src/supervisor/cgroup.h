/* The container's cgroups: one directory in each hierarchy that the spec names, v1 and v2 behind one interface. */
#ifndef BERTH_CGROUP_H
#define BERTH_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "spec.h"

#define CGROUP_TOO_SMALL "the memory limit is too small to start anything"

struct cgroup_place {
  int dir;   /* the container's directory */
  int tasks; /* v1: open for the join, else -1 */
  uint32_t version;
  uint32_t controllers;
  int ahead; /* of one that was made ahead and has neither its name nor its limits yet, which one; else -1 */
};

/* What is counted of all that was ever in it. */
enum cgroup_count { CGROUP_KILLS, CGROUP_CPU, CGROUP_PEAK, CGROUP_COUNTS };

struct cgroup {
  struct cgroup_place places[BERTH_MAX_HIERARCHIES];
  unsigned count;
  char id[BERTH_MAX_ID + 1];
  bool split;         /* v2: its processes live in leaves, because one of them has limits of its own */
  bool leaves;        /* there has been such a leaf */
  uint64_t oom_below; /* kills in those that are gone */
  int counts[CGROUP_COUNTS]; /* open to be read soon, or -1 */
};

void cgroup_init(struct cgroup *cgroup);
/* Creates the directories and sets every limit, but for what was made ahead: that can be entered as it is. On failure what
   was made is removed again. */
int cgroup_create(struct cgroup *cgroup, const struct spec *spec, struct err *err);
/* Gives that its name and its limits, before a program runs in it. What failed fails again when it is asked again. */
int cgroup_complete(struct cgroup *cgroup, const struct spec *spec, struct err *err);
/* Descriptor for CLONE_INTO_CGROUP, or -1 when there is no v2 hierarchy. */
int cgroup_clone_fd(const struct cgroup *cgroup);
/* Gives the tree below a machine's v2 cgroup to its root, which then makes cgroups of its own; limits stay ours. To be
   called when init is in it: one that was born in a prepared user namespace may enter no cgroup but the host root's. */
int cgroup_delegate(const struct cgroup *cgroup, const struct spec *spec, struct err *err);
/* A new descriptor of the leaf for programs beside the init of such a tree, or of a container that was split; or -1. */
int cgroup_guest_fd(const struct cgroup *cgroup);
/* Writes the values that a spec has for its hierarchy `index` into the cgroup `dir`. */
int cgroup_write(int dir, const struct spec *spec, uint32_t index, struct err *err);
/* Kills by the memory limit of this very cgroup. */
uint64_t cgroup_kills_in(int dir, uint32_t version);
/* In the child, single-threaded: joins the v1 hierarchies. */
int cgroup_join_v1(const struct cgroup *cgroup, struct err *err);
void cgroup_close_tasks(struct cgroup *cgroup);
/* Again, for somebody who joins later. */
int cgroup_open_tasks(struct cgroup *cgroup, struct err *err);
/* Opens what the three below read: to be called when there is time and they will be read soon. */
void cgroup_open_counts(struct cgroup *cgroup);
/* CPU time used so far and the most memory at one time, by all that was ever in it; 0 when this host does not count it. */
uint64_t cgroup_cpu_us(const struct cgroup *cgroup);
uint64_t cgroup_peak_bytes(const struct cgroup *cgroup);
/* Processes that the kernel killed because of the memory limit. */
uint64_t cgroup_oom_kills(const struct cgroup *cgroup);
/* Each process that is listed in `dir`; -1 as soon as `work` says so, or when it cannot be read. Not 0, as v2 lists one that
   is released meanwhile: who writes or kills that means itself. */
typedef int with_process(pid_t pid, int argument);
int cgroup_each_process(int dir, with_process *work, int argument);
/* SIGKILL to every process in it, also when it is frozen. */
void cgroup_kill(const struct cgroup *cgroup);
/* True when all directories are gone. */
bool cgroup_remove(struct cgroup *cgroup);

#endif
