/* What init waits for: its root file system first, then, while it mounts that, its end of a veth pair. */
#ifndef BERTH_HANDOVER_H
#define BERTH_HANDOVER_H

#include "err.h"

int hand_over(struct err *err);

#endif
