/* The root that a process has until the container's is put together: how it is left, and when. */
#ifndef BERTH_OLD_ROOT_H
#define BERTH_OLD_ROOT_H

#include <stdbool.h>

#include "err.h"
#include "rootfs.h"
#include "spec.h"

/* Whether it stays below the container's; then `old_root_clear` empties it while init goes on. */
bool old_root_stays(const struct spec *spec);
/* Init: `root` is attached over `old`, which is its root now. */
int old_root_cover(int root, struct err *err);
int old_root_detach(const struct spec *spec, const struct rootfs *rootfs, int old, struct err *err);
/* Supervisor: closes what has been handed over, but for what `old_root_clear` wants. */
void old_root_keep(const struct spec *spec, struct rootfs *rootfs);
/* In `namespace`, of mounts, before anybody is told that the program runs. -1 with `err`; when nothing stays it does nothing. */
int old_root_clear(const struct spec *spec, int namespace, struct err *err);

#endif
