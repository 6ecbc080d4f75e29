/*
 * What the spec says of the program alone: its user, limits, umask and capabilities. Init itself stays root with what
 * it needs; the program's process takes all this on as its last step before exec. Whoever starts another program in
 * the container does the same.
 */
#ifndef BERTH_PROCESS_H
#define BERTH_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"
#include "spec.h"
#include "users.h"

struct process {
  const struct spec *spec;
  const struct spec *security; /* whose system call filter it gets */
  const struct spec *stricter; /* beside that one; NULL for none */
  const struct berth_process *wanted; /* NULL: as init is */
  struct user user;
};

/* A descriptor of its mount namespace. With it, the end of the process does not wait until all is unmounted. -1 when there
   is none. */
int process_mounts(pid_t pid);
/* What only the host's root may give. Limits come before init lowers any of its own, as both read and write them. */
int process_raise_limits(const struct spec *spec, pid_t init, struct err *err);
int process_set_oom_score(const struct spec *spec, pid_t init, struct err *err);
/* In init, when "/" is the container's: looks names up in the image. */
int process_prepare(struct process *process, const struct spec *spec, struct err *err);
/* The home directory for a program without HOME; never empty. */
const char *process_home(const struct process *process);
/* In the process that is about to exec, after fork or vfork. */
int process_become(const struct process *process, bool dies_with_supervisor, struct err *err);

#endif
