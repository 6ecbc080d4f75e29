/* rtnetlink(7) without a library: messages built one after the other in one buffer, sent at once, answered in order. */
#ifndef BERTH_NETLINK_H
#define BERTH_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define NETLINK_MAX_BYTES 4096
#define NETLINK_MAX_MESSAGES 16
#define NETLINK_MAX_NEST 4

struct netlink {
  int socket;
  unsigned count;
  size_t length;
  size_t message;                /* offset of the current one */
  size_t nest[NETLINK_MAX_NEST]; /* offsets of open attributes */
  unsigned depth;
  bool overflow;
  const char *names[NETLINK_MAX_MESSAGES]; /* what each of them does, for the error */
  _Alignas(8) unsigned char bytes[NETLINK_MAX_BYTES];
};

/* A socket in the network namespace of the caller. */
int netlink_open(struct netlink *netlink, struct err *err);
void netlink_close(struct netlink *netlink);

/* Starts a message; returns its fixed header of `size` bytes, zeroed. */
void *netlink_message(struct netlink *netlink, uint16_t type, uint16_t flags, size_t size, const char *name);
void netlink_put(struct netlink *netlink, uint16_t type, const void *data, size_t size);
void netlink_put_u8(struct netlink *netlink, uint16_t type, uint8_t value);
void netlink_put_u32(struct netlink *netlink, uint16_t type, uint32_t value);
void netlink_put_text(struct netlink *netlink, uint16_t type, const char *text);
/* An attribute that holds attributes, until netlink_end. `size` bytes of a fixed header come first. */
void *netlink_begin(struct netlink *netlink, uint16_t type, size_t size);
void netlink_end(struct netlink *netlink);

/* Sends all messages and reads all answers. The first that was refused ends up in `err`, and its errno is kept. */
int netlink_commit(struct netlink *netlink, const char *stage, struct err *err);

#endif
