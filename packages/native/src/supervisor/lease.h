/*
 * How long a container may run unless it is told that it may go on. When that time has come it is stopped, and killed
 * after a grace: by its supervisor, so that it holds whatever has become of the agent. On CLOCK_BOOTTIME, which nobody
 * sets and which goes on while the machine sleeps; so it has no meaning after a boot, when nothing runs either.
 */
#ifndef BERTH_LEASE_H
#define BERTH_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "spec.h"

/* Watches the lease of the spec, if it has one. */
int lease_open(const struct spec *spec, struct err *err);
/* Until a later moment. Returns an errno: ENOENT without a lease, ESTALE when it has run out already. */
uint32_t lease_renew(uint64_t until_ms);
/* True when it was stopped because of it. */
bool lease_has_ended(void);

#endif
