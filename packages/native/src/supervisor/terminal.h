/* A terminal of the container's own devpts: made inside, held by the supervisor. */
#ifndef BERTH_TERMINAL_H
#define BERTH_TERMINAL_H

#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/* In the container's mount namespace. `ends` become its master and its slave. */
int terminal_open(int ends[2], uint32_t size, struct err *err);
/* Binds the slave itself on /dev/console, with all capabilities in the container's user namespace. */
int terminal_make_console(int slave, struct err *err);
int terminal_resize(int master, uint32_t size);

#endif
