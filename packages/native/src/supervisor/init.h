/* PID 1 of the container: sets it up, starts the program, forwards signals, reaps, and leaves with the program. */
#ifndef BERTH_INIT_H
#define BERTH_INIT_H

#include "cgroup.h"
#include "spec.h"

struct init_context {
  const struct spec *spec;
  const struct cgroup *cgroup;
  int sync;
  int sync_peer; /* the supervisor's end: inherited, to be closed, or its death would go unnoticed */
  int stdio[3]; /* all -1: a terminal is made */
};

_Noreturn void init_main(const struct init_context *context);

#endif
