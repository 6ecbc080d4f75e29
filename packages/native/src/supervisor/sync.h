/* What the supervisor and the container's init tell each other over a private SOCK_SEQPACKET pair. */
#ifndef BERTH_SYNC_H
#define BERTH_SYNC_H

#include <stdint.h>
#include <sys/types.h>

#include "err.h"

enum sync_kind {
  SYNC_SETUP = 1,   /* → init: ids are mapped, here are the mounts; go */
  SYNC_SIGNAL = 2,  /* → init: value = signal for the payload */
  SYNC_FAILED = 3,  /* ← init: err says why nothing was started */
  SYNC_PAYLOAD = 4, /* ← payload, just before exec: the kernel adds its pid */
  SYNC_RUNNING = 5, /* ← init: exec succeeded */
  SYNC_EXITED = 6,  /* ← init: value = wait status of the payload */
  SYNC_TERMINAL = 7, /* ← init: both ends of the terminal */
  SYNC_READY = 16,   /* ← init: everything but the program is there */
  SYNC_GO = 17,      /* → init: hooks have run; → an executed program's process: who entered first is gone */
  SYNC_NETNS = 18,   /* ← init: its network namespace exists; only when the spec has a network */
  SYNC_PLUGGED = 19, /* → init: its end of the pair is there */
  SYNC_ENTERED = 21, /* ← init: it has a root of its own, and one before that is still below */
  SYNC_CONFINED = 20, /* → init: its cgroups are complete, and what it was granted; now the program */
};

struct sync_message {
  uint32_t kind;
  int32_t value;
  struct err err;
};

int sync_send(int socket, uint32_t kind, int32_t value, const struct err *err);
int sync_send_fds(int socket, uint32_t kind, const int *fds, unsigned count);
/* What the kernel tells of a message beside its bytes. */
struct sync_origin {
  pid_t sender;
  int fds[2]; /* -1, or ours to close */
};

/* 1 and a message, 0 when the other side is gone, -1 with errno. `origin` may be NULL when no descriptors are sent. */
int sync_receive(int socket, struct sync_message *message, int flags, struct sync_origin *origin);
/* Like sync_receive, and takes exactly `count` descriptors. */
int sync_receive_fds(int socket, struct sync_message *message, int *fds, unsigned count);

#endif
