/*
 * The control socket: a fixed number of clients, requests of a fixed size, nobody is waited for. A client either asks and
 * is told, or is attached to the container's output, or is the other end of a program that it had executed.
 */
#ifndef BERTH_SUPERVISOR_CONTROL_H
#define BERTH_SUPERVISOR_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../include/control.h"
#include "err.h"
#include "loop.h"

#define CONTROL_MAX_CLIENTS 24

struct exec;
struct input;

struct control_client {
  struct source source; /* fd -1: free */
  struct control *control;
  bool subscribed;
  bool attached;
  bool blocked;       /* not read from: its input cannot be taken at the moment */
  bool wants_room;    /* told when it can be written to again */
  uint8_t received;   /* bytes of `request` that have arrived */
  uint32_t left;      /* bytes behind `request` that have not been taken yet */
  struct input *input; /* where they go; NULL: nowhere */
  struct exec *exec;
  struct berth_request request;
};

struct control {
  struct source listener;
  struct control_client clients[CONTROL_MAX_CLIENTS];
  /* `client->request` is complete and well-formed. */
  void (*on_request)(struct control_client *client);
  /* Bytes behind a request are there: takes some of them off the socket, or blocks the client. */
  void (*on_payload)(struct control_client *client);
  void (*on_room)(struct control_client *client);
  void (*on_close)(struct control_client *client);
};

/* Takes over the connected `first` client, which is subscribed, and listens on `control.sock` in the state directory. */
int control_open(struct control *control, int state_dir, int first, struct err *err);
/* To the event loop. */
int control_watch(struct control *control, struct err *err);
/* A client that does not take its reply at once is dropped: there is never a queue. */
void control_reply(struct control_client *client, uint8_t type, uint32_t seq, uint32_t error, const void *payload,
                   size_t length);
void control_broadcast(struct control *control, uint8_t type, const char *payload, size_t length);
/* Output, with room for a header before `bytes`. False: the client did not take it and was dropped. */
bool control_send_output(struct control_client *client, uint8_t stream, unsigned char *bytes, size_t length);
/* To all that are attached. */
void control_fan_out(struct control *control, uint8_t stream, unsigned char *bytes, size_t length);
/* Room for a message of 16 KiB, which unix(7) takes as a whole then. */
bool control_has_room(const struct control_client *client);
void control_set_blocked(struct control_client *client, bool blocked);
void control_set_wants_room(struct control_client *client, bool wants);
bool control_any_attached(const struct control *control);
void control_close_client(struct control_client *client);
/* True when the first subscribed client closes its end within that time: it has read whatever was sent before. */
bool control_await_close(struct control *control, int patience_ms);

#endif
