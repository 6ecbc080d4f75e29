/* Programs of the host that run at points of the container's life, one after the other, watched by the event loop. */
#ifndef BERTH_HOOK_H
#define BERTH_HOOK_H

#include <stddef.h>

#include "err.h"
#include "spec.h"

/* `err` is NULL when all of them ended well; the first one that did not ends the series. */
typedef void hook_done(const struct err *err);

/* Runs those of `point` with `status` on their standard input; `done` may be called before this returns. */
void hook_run(const struct spec *spec, enum berth_hook_point point, const char *status, size_t length, hook_done *done);
/* Kills what still runs: it belongs to a time that is over. Nobody is told. */
void hook_stop(void);
/* Whether there is one for this point. */
int hook_count(const struct spec *spec, enum berth_hook_point point);

#endif
