/* What the spec says of namespaces beyond that each container has its own. */
#ifndef BERTH_NAMESPACES_H
#define BERTH_NAMESPACES_H

#include "err.h"
#include "spec.h"

/* In init, when its namespaces exist and it still has all capabilities in them. */
int namespaces_setup(const struct spec *spec, struct err *err);

#endif
