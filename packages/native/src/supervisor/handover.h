/* What init waits for: its root file system first, then, while it mounts that, its end of a veth pair. */
#ifndef BERTH_HANDOVER_H
#define BERTH_HANDOVER_H

#include "err.h"

int hand_over(struct err *err);
/* The part of it that needs no init, for while one is being born from what was prepared. What fails, `hand_over` says. */
void hand_over_ahead(void);
/* As if that had not been: init is born another way, with other ids. */
void hand_over_forget(void);

#endif
