/* What a supervisor on standby made before anybody knew for what: namespaces that nobody was ever in, and a /dev. */
#ifndef BERTH_PREPARED_H
#define BERTH_PREPARED_H

#include <stdint.h>

#include "err.h"

enum { PREPARED_USER, PREPARED_NET, PREPARED_IPC, PREPARED_UTS, PREPARED_NAMESPACES };

struct prepared {
  uint32_t kinds; /* CLONE_NEW* of the namespaces: all four, or none of them */
  int namespaces[PREPARED_NAMESPACES];
  int dev; /* a detached mount, or -1 */
};
extern struct prepared prepared;

/* What cannot be made is left to the start, which says why. */
void prepared_make(void);
/* Into the namespaces, from which init is born. -1 with `err`. */
int prepared_enter(struct err *err);
void prepared_close_namespaces(void);
void prepared_close(void);

#endif
