/* From the supervisor's fork to the program's first instruction: into the container, and down to what it may. */
#ifndef BERTH_EXEC_CHILD_H
#define BERTH_EXEC_CHILD_H

#include <stdbool.h>

#include "cgroup.h"
#include "exec_cgroup.h"
#include "spec.h"

struct exec_plan {
  const struct spec *container;
  const struct spec *wanted;
  struct cgroup *cgroup;
  const struct exec_cgroup *leaf;
  int init_pidfd;
  int report;
  int stdio[3]; /* all -1: a terminal is made */
};

/* In a process of its own, which leaves when the program's process, a child of the supervisor, exists. */
_Noreturn void exec_child_main(const struct exec_plan *plan);

#endif
