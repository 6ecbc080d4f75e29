/* How much a container may write over its layers, where its file system has project quotas. */
#ifndef BERTH_QUOTA_H
#define BERTH_QUOTA_H

#include <stdint.h>

#include "err.h"

/* Gives the directories, which lie empty on one file system, a project of their own of so many bytes. */
int quota_limit(const int *dirs, unsigned count, uint64_t bytes, struct err *err);

#endif
