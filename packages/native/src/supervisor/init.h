/* PID 1 of the container: sets it up, starts the program, forwards signals, reaps, and leaves with the program. */
#ifndef BERTH_INIT_H
#define BERTH_INIT_H

#include "cgroup.h"
#include "process.h"
#include "spec.h"

struct init_context {
  const struct spec *spec;
  const struct cgroup *cgroup;
  int sync;
  int sync_peer; /* the supervisor's end: inherited, to be closed, or its death would go unnoticed */
  int stdio[3]; /* all -1: a terminal is made */
  uint32_t prepared; /* CLONE_NEW* of namespaces of its own that it was born into */
};

/* Makes it if need be; it must lie inside of the root. */
int init_enter_workdir(const char *path, struct err *err);
/* A program expects to know where its home is; what the spec says wins. There must be room for one more entry. */
void init_add_home(const struct process *process, char **envp);
_Noreturn void init_main(const struct init_context *context);

#endif
