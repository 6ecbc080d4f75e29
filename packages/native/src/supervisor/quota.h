/* How much may lie below a directory, where its file system has project quotas: what a container writes, or a volume. */
#ifndef BERTH_QUOTA_H
#define BERTH_QUOTA_H

#include <stdint.h>

#include "err.h"

/* Gives the directories, which lie empty on one file system, a project of their own of so many bytes. */
int quota_limit(const int *dirs, unsigned count, uint64_t bytes, struct err *err);
/* Fails with EDQUOT when more lies below one that has a limit: root may write beyond it, as cp(1) does. */
int quota_check(int dir, struct err *err);

#endif
