/* Device nodes beside the default ones, and on cgroup v2 who may open which device. */
#ifndef BERTH_DEVICE_H
#define BERTH_DEVICE_H

#include "cgroup.h"
#include "err.h"
#include "spec.h"

/* In the supervisor: the nodes of the spec in `dev`, the root of the container's /dev. */
int device_make_nodes(const struct spec *spec, int dev, struct err *err);
/* When the spec has a list of devices, even an empty one, nothing else can be opened. On v1 the `devices` hierarchy was
   given the same rules as control files. */
int device_control(const struct spec *spec, const struct cgroup *cgroup, struct err *err);

#endif
