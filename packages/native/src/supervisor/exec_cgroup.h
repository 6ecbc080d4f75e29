/*
 * A program that is executed with limits of its own gets a cgroup below the container's, in each hierarchy that these
 * limits need: the kernel then holds it to both.
 */
#ifndef BERTH_EXEC_CGROUP_H
#define BERTH_EXEC_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "cgroup.h"
#include "err.h"
#include "spec.h"

struct exec_cgroup {
  uint32_t id;
  bool wanted;
  int dirs[BERTH_MAX_HIERARCHIES]; /* as the container's places; -1: the container's own will do */
};

void exec_cgroup_init(struct exec_cgroup *leaf, uint32_t id);
/* With the limits that the request brings; nothing when it brings none. What was made is removed by exec_cgroup_remove,
   also after a failure. */
int exec_cgroup_create(struct exec_cgroup *leaf, const struct spec *wanted, const struct spec *container,
                       struct cgroup *cgroup, struct err *err);
/* In the process that joins: what is joined from now on is the leaf. */
void exec_cgroup_use(const struct exec_cgroup *leaf, struct cgroup *cgroup);
/* Its v2 directory for CLONE_INTO_CGROUP, or -1. */
int exec_cgroup_clone_fd(const struct exec_cgroup *leaf, const struct cgroup *cgroup);
/* When its program has ended: how many were killed by its memory limit. What still lives in it stays, with its limits. */
uint64_t exec_cgroup_remove(struct exec_cgroup *leaf, struct cgroup *cgroup);
/* Kills by the memory limits of all such leaves of a v2 cgroup, those that are gone included: none of the container's own. */
uint64_t exec_cgroup_kills(const struct cgroup *cgroup, const struct cgroup_place *place);

#endif
