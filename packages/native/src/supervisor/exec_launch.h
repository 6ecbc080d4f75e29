/* The start of a program in a running container. */
#ifndef BERTH_EXEC_LAUNCH_H
#define BERTH_EXEC_LAUNCH_H

#include "err.h"
#include "exec.h"

/* The request is complete in `exec->spec_fd`. 0: the launcher runs, and reports; -1 with `err`: nothing does. */
int exec_launch(struct exec *exec, struct err *err);

#endif
