/* What the container's processes may not do: capabilities, no_new_privs, the system call filter, resource limits. */
#ifndef BERTH_PRIVILEGES_H
#define BERTH_PRIVILEGES_H

#include <stdint.h>

#include "err.h"
#include "spec.h"

/* Become root of the container's user namespace. Its map must have been written. */
int privileges_become_root(struct err *err);
/* The part of it that is the same whatever the spec: what may never be given. */
int privileges_drop_ahead(struct err *err);
/* Everything that init and the payload have in common, for good. */
int privileges_drop(const struct spec *spec, struct err *err);
/* In the process that is about to exec: one more filter, where the spec has one. The last thing before exec. */
int privileges_filter(const struct spec *spec, struct err *err);
/* capset(2): permitted and effective, and inheritable. */
int privileges_set(uint64_t set, uint64_t inheritable, struct err *err);
/* Init keeps nothing but the right to signal processes of other users of its container. */
int privileges_keep_kill(struct err *err);

#endif
