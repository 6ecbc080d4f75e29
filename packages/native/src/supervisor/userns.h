/* The container's user namespace, seen from the host. */
#ifndef BERTH_USERNS_H
#define BERTH_USERNS_H

#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/* Maps ids 0..65535 of process `pid`'s new user namespace to the host's `id_base`..; returns a descriptor of the
   namespace, which id-mapped mounts need, or -1. */
int userns_map(pid_t pid, uint32_t id_base, struct err *err);

/* The same for a user namespace that was joined: its map must be the one that the spec says. */
int userns_joined(pid_t pid, uint32_t id_base, struct err *err);

#endif
