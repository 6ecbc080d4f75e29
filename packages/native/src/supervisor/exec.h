/*
 * Programs that clients have executed in the running container. Each belongs to the connection that asked for it: its
 * bytes travel there, and when the connection ends, the program is killed.
 */
#ifndef BERTH_EXEC_H
#define BERTH_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "control.h"
#include "exec_cgroup.h"
#include "input.h"
#include "loop.h"
#include "record.h"
#include "spec.h"

#define EXEC_MAX 8

enum exec_phase { EXEC_FREE, EXEC_RECEIVING, EXEC_STARTING, EXEC_RUNNING, EXEC_DRAINING };

struct exec {
  enum exec_phase phase;
  uint32_t id;
  uint32_t seq; /* of the request, to be answered when it is known whether it runs */
  bool late;    /* the program has ended, the process that started it not yet */
  bool crowded; /* the client has no room: outputs are not watched */
  pid_t pid;    /* on the host; 0: there is none yet */
  int spec_fd;
  int slave;                     /* of its terminal */
  struct control_client *client; /* NULL: gone */
  struct source launcher;        /* the process that enters the container */
  struct source report;          /* what both processes say before exec */
  struct source process;         /* the program */
  struct source outputs[2];      /* the second is -1 for a terminal */
  struct input input;
  struct exec_cgroup leaf;
  struct exit_record exit;
};

/* A request of `client`; its payload follows. */
void exec_begin(struct control_client *client);
void exec_payload(struct control_client *client);
void exec_room(struct exec *exec);
/* The client is gone. */
void exec_abandon(struct exec *exec);
/* NULL when there is none that runs. */
struct exec *exec_find(uint32_t id);
/* Also while it is being started, or has ended and is not told yet. */
bool exec_is_live(uint32_t id);
uint32_t exec_signal(struct exec *exec, int number);
uint32_t exec_resize(const struct exec *exec, uint32_t size);
void exec_kill(const struct exec *exec);
/* When the container has ended. */
void exec_finish(void);

#endif
