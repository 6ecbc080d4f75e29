/* Cgroups in the v1 hierarchies that a supervisor on standby makes before it knows whose they will be. */
#ifndef BERTH_CGROUP_AHEAD_H
#define BERTH_CGROUP_AHEAD_H

#include <stdbool.h>

#include "cgroup.h"

/* One in each of these directories. What cannot be made is left to the start. */
void cgroup_ahead_make(char *const *parents);
/* Whether there is one that can get the name `path`: it is open in `place` then, its directory and its tasks. */
bool cgroup_ahead_take(struct cgroup_place *place, const char *path);
/* Gives it that name, once, also with processes in it. -1 with errno. */
int cgroup_ahead_name(const struct cgroup_place *place, const char *path);
/* Removes what got none. */
void cgroup_ahead_drop(void);

#endif
