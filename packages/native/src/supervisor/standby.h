/* A supervisor that was started before anybody knew for what: it waits for its spec, and starts that much sooner. */
#ifndef BERTH_STANDBY_H
#define BERTH_STANDBY_H

#include <stdbool.h>

#include "err.h"

/* `word` is argv[1]: "--standby", padded to BERTH_STANDBY_WORD bytes. */
bool standby_is_wanted(const char *word);
/* Makes in the state directory, and in these v1 cgroups, what every start needs. Failures are left to the start, which says
   where they are. */
void standby_prepare(int state_dir, char *const *cgroup_parents);
/* Waits on `client` for a spec, which becomes descriptor `spec`. False when the agent is gone instead. */
bool standby_wait(int client, int spec);
/* Waits there until the directory has the container's name. False when the agent is gone, or has found the name taken. */
bool standby_is_claimed(int client);
/* Shows `id` in the process list, where "--standby" was. */
void standby_rename(char *word, const char *id);

#endif
