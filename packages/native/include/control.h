/*
 * The control socket, both directions. Requests have a fixed size, so that the parser cannot be confused by lengths.
 * Replies carry the sequence number of their request; events carry 0. `status` and `exit` payloads are the very bytes
 * of the files of the same name, so there is one format and one parser for both.
 */
#ifndef BERTH_CONTROL_H
#define BERTH_CONTROL_H

#include <stdint.h>

#define BERTH_CONTROL_VERSION 1u

enum berth_op {
  BERTH_OP_STATUS = 1,    /* answered with `status` */
  BERTH_OP_SIGNAL = 2,    /* a = signal number, to the first process */
  BERTH_OP_KILL = 3,      /* everything in the container */
  BERTH_OP_SUBSCRIBE = 4, /* `exit` will be sent when it has ended; answered with `status` */
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
};

struct berth_reply {
  uint8_t version;
  uint8_t type;
  uint16_t reserved;
  uint32_t seq;
  uint32_t error; /* errno, 0 when done */
  uint32_t length;
};

#define BERTH_REPLY_MAX_PAYLOAD 2048u

/* File descriptors that the supervisor is born with. */
enum berth_fd {
  BERTH_FD_SPEC = 3,  /* sealed memfd */
  BERTH_FD_STATE = 4, /* directory of this container */
  BERTH_FD_LOCK = 5,  /* open file description that holds the lock for as long as it lives */
  BERTH_FD_FIRST_CLIENT = 6,
  BERTH_FD_COUNT = 7,
};

#endif
