/* What a supervisor on standby made before anybody knew for what: namespaces that no program was ever in, with kernel
   file systems mounted and masked, and a process in there from which init can be born. */
#ifndef BERTH_PREPARED_H
#define BERTH_PREPARED_H

#include <linux/sched.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "init.h"
#include "userns.h"

struct prepared {
  uint32_t kinds; /* CLONE_NEW* of the namespaces: all that are made early, or none of them */
  pid_t stem;     /* the process in them, and its pidfd */
  int pidfd;
  struct userns_files userns; /* for its ids */
  int stage;      /* the root of whoever is in there, until a container has its own */
  int home;       /* the mount namespace of the supervisor, to come back from there */
  int dev;        /* mounts, for init to put in place; -1: it makes them itself */
  int sys;
  int proc;       /* made by init itself, before it has a root */
};
extern struct prepared prepared;

/* What cannot be made is left to the start, which says why. */
void prepared_make(void);
/* Whether init can still be born from it. If not, all of it is given up. */
bool prepared_is_ready(void);
/* As clone3(2), in two steps: in between the stem is at work, and its descriptors are the caller's. */
int prepared_conceive(const struct init_context *context, const struct clone_args *args, struct err *err);
/* Init is the caller's child. Its number, or -1 with `err`: ECHILD when the stem was killed before, then an ordinary start
   can follow. The pidfd has to be opened. */
long prepared_birth(struct err *err);
/* Once init is born: ends the stem, and closes what that one does not know. */
void prepared_leave(void);
/* Sees to that end, waits for it, and closes the rest: best when there is nothing else to do. */
void prepared_reap(void);
/* Ends the stem and closes everything. */
void prepared_close(void);

#endif
