/* Inside the container's own mount namespace: puts the prepared mounts in place and leaves the host behind. */
#ifndef BERTH_MOUNTS_H
#define BERTH_MOUNTS_H

#include "err.h"
#include "rootfs.h"
#include "spec.h"

/* What needs no root: /proc, masked, and the file systems below /dev, in the place of prepared.h and while the supervisor
   makes the root. */
int mounts_ahead(const struct spec *spec, struct err *err);
/* Everything up to the root: afterwards "/" is the container's and nothing of the host is reachable. */
int mounts_enter(const struct spec *spec, const struct rootfs *rootfs, struct err *err);
/* When nothing has to be made in the root any more: makes it read-only where the spec says so. */
int mounts_finish(const struct spec *spec, const struct rootfs *rootfs, struct err *err);

#endif
