/* The control socket: a fixed number of clients, fixed-size requests, nobody is waited for. */
#ifndef BERTH_SUPERVISOR_CONTROL_H
#define BERTH_SUPERVISOR_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../include/control.h"
#include "err.h"
#include "loop.h"

#define CONTROL_MAX_CLIENTS 8

struct control_client {
  struct source source; /* fd -1: free */
  struct control *control;
  bool subscribed;
  uint8_t received; /* bytes of `request` that have arrived */
  struct berth_request request;
};

struct control {
  struct source listener;
  struct control_client clients[CONTROL_MAX_CLIENTS];
  /* `client->request` is complete and well-formed. */
  void (*on_request)(struct control_client *client);
};

/* Takes over the connected `first` client, which is subscribed, and listens on `control.sock` in the state directory. */
int control_open(struct control *control, int state_dir, int first, struct err *err);
/* To the event loop. */
int control_watch(struct control *control, struct err *err);
/* A client that does not take its reply at once is dropped: there is never a queue. */
void control_reply(struct control_client *client, uint8_t type, uint32_t seq, uint32_t error, const char *payload,
                   size_t length);
void control_broadcast(struct control *control, uint8_t type, const char *payload, size_t length);
void control_close_client(struct control_client *client);

#endif
