/* The first thing a supervisor does: it leaves behind what it was started with. */
#ifndef BERTH_DETACH_H
#define BERTH_DETACH_H

#include "err.h"

/* `joins` descriptors of namespaces follow those with a number of their own. */
int detach(int joins, struct err *err);

#endif
