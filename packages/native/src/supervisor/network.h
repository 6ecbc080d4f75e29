/* The container's own network stack: a veth pair, one end on the host's bridge or routed, the other born inside. */
#ifndef BERTH_NETWORK_H
#define BERTH_NETWORK_H

#include <sys/types.h>

#include "err.h"
#include "spec.h"

/* On the host: makes the pair; `pid` is a process in the container's network namespace, which must exist. */
int network_plug(const struct spec *spec, pid_t pid, struct err *err);
/* Inside, with all capabilities of the network namespace. Loopback alone: all that there is before the pair is. */
int network_loopback(struct err *err);
/* Lets everybody ping. Before /proc is masked, and with mapped ids. */
int network_allow_ping(struct err *err);
/* The end of the pair, which must be there. */
int network_setup(const struct spec *spec, struct err *err);

#endif
