/* Kernel settings of the container's own namespaces. */
#ifndef BERTH_SYSCTL_H
#define BERTH_SYSCTL_H

#include <stdbool.h>

#include "err.h"
#include "spec.h"

/* In init, when it is root of its user namespace and all its other namespaces exist. */
int sysctl_apply(const struct spec *spec, struct err *err);
/* Whether one of them is of the network, so that interfaces have to be there before. */
bool sysctl_needs_network(const struct spec *spec);
/* Whether "net/core/somaxconn" is one that belongs to a namespace, not to the host. */
bool sysctl_is_allowed(const char *name);
/* No newline and no "+": either has started a second assignment somewhere. */
bool sysctl_is_value(const char *value);

#endif
