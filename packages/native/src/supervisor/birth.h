/* How the supervisor gets its child, the container's init. */
#ifndef BERTH_BIRTH_H
#define BERTH_BIRTH_H

#include "err.h"

/* What is the same for every container. What is there already is left. */
int birth_make_ahead(struct err *err);
/* Init runs, and `self` knows its number, its pidfd and the socket to it. In init this does not return. */
int birth_give(int stdin_fd, struct err *err);

#endif
