/*
 * The control socket, both directions. A request has a fixed size; BERTH_OP_INPUT and BERTH_OP_EXEC are followed by as
 * many bytes as `a` says. Replies carry the sequence number of their request; events carry 0. `status` and `exit`
 * payloads are the very bytes of the files of the same name, so there is one format and one parser for both.
 *
 * Two numbers tell what the other side understands. BERTH_CONTROL_VERSION is the framing, in every header: one that is
 * not known is answered with BERTH_REPLY_REFUSED, and the connection ends. BERTH_CONTROL_LEVEL counts the requests and
 * fields that were added to it, and is told in `status`: a client asks for nothing above it, a request that is not known
 * is answered with ENOSYS, and an unknown field of a record means nothing.
 */
#ifndef BERTH_CONTROL_H
#define BERTH_CONTROL_H

#include <stdint.h>

#define BERTH_CONTROL_VERSION 1u
/* 3: a request to execute may bring a system call filter of its own. 4: leases.
   5: a request to execute is a spec of version 4. A new BERTH_SPEC_VERSION is a new level, and a row in lib/exec.ts.
   6: a request to execute may bring limits: hierarchies of the container, and what is written into a cgroup below its. */
#define BERTH_CONTROL_LEVEL 6u

enum berth_op {
  BERTH_OP_STATUS = 1,    /* answered with `status` */
  BERTH_OP_SIGNAL = 2,    /* a = signal number, to the first process, or to exec b */
  BERTH_OP_KILL = 3,      /* everything in the container, or exec b */
  BERTH_OP_SUBSCRIBE = 4, /* `exit` will be sent when it has ended; answered with `status` */
  /* Level 2. */
  BERTH_OP_ATTACH = 5,      /* output from now on, and `exit`; answered with BERTH_REPLY_ATTACHED */
  BERTH_OP_INPUT = 6,       /* a bytes follow, for standard input; not answered */
  BERTH_OP_CLOSE_INPUT = 7, /* standard input ends; on a terminal: its end-of-file character */
  BERTH_OP_RESIZE = 8,      /* a = rows << 16 | columns, of the terminal of the container or of exec b */
  BERTH_OP_EXEC = 9,        /* a bytes follow: struct berth_exec; this connection becomes the program's */
  /* Level 4. */
  BERTH_OP_RENEW = 10, /* it may run until b << 32 | a milliseconds of CLOCK_BOOTTIME; ESTALE: too late */
  BERTH_OP_LAST = BERTH_OP_RENEW,
};

struct berth_request {
  uint8_t version;
  uint8_t op;
  uint16_t reserved;
  uint32_t seq;
  uint32_t a;
  uint32_t b;
};

enum berth_reply_type {
  BERTH_REPLY_DONE = 1,
  BERTH_REPLY_STATUS = 2,
  BERTH_EVENT_STARTED = 3, /* payload: status */
  BERTH_EVENT_EXIT = 4,    /* payload: exit record */
  /* Level 2. */
  BERTH_REPLY_ATTACHED = 5,    /* payload: struct berth_attached */
  BERTH_EVENT_OUTPUT = 6,      /* error = 0 for stdout or a terminal, 1 for stderr; payload: bytes */
  BERTH_REPLY_EXEC_STARTED = 7, /* error = errno; payload: struct berth_exec_started */
  BERTH_EVENT_EXEC_EXIT = 8,   /* payload: exit record; the connection ends */
  BERTH_REPLY_REFUSED = 9,     /* `version` is the only one that is spoken here; the connection ends */
};

struct berth_reply {
  uint8_t version;
  uint8_t type;
  uint16_t reserved;
  uint32_t seq;
  uint32_t error; /* errno, 0 when done */
  uint32_t length;
};

#define BERTH_ATTACHED_TERMINAL 1u
#define BERTH_ATTACHED_INPUT 2u /* somebody reads what is sent */

/* Where in the log of each stream the output that follows begins. */
struct berth_attached {
  uint64_t offsets[2];
  uint32_t flags;
  uint32_t reserved;
};

struct berth_exec_started {
  uint32_t exec; /* names it in other requests, never 0 */
  uint32_t pid;  /* on the host */
};

#define BERTH_REPLY_MAX_PAYLOAD 2048u
#define BERTH_OUTPUT_MAX_PAYLOAD 65536u

/* What a supervisor exits with when no cgroup of its container is left. */
#define BERTH_EXIT_REMOVED 0

/* Length of the word that makes a supervisor wait for its spec: room for every id, which replaces it later. */
#define BERTH_STANDBY_WORD 72u
/* Its v1 cgroups are called so until then, with its process number behind. */
#define BERTH_STANDBY_CGROUP ".standby-"

/* File descriptors that the supervisor is born with. */
enum berth_fd {
  BERTH_FD_SPEC = 3,  /* sealed memfd; on standby it comes through the first client's socket */
  BERTH_FD_STATE = 4, /* directory of this container */
  BERTH_FD_LOCK = 5,  /* open file description that holds the lock for as long as it lives */
  BERTH_FD_FIRST_CLIENT = 6,
  BERTH_FD_COUNT = 7,
};

#endif
