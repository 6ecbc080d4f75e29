/* What one supervisor knows of its container, shared by the files that act on it. */
#ifndef BERTH_SUPERVISOR_H
#define BERTH_SUPERVISOR_H

#include <stdbool.h>

#include "cgroup.h"
#include "control.h"
#include "input.h"
#include "loop.h"
#include "output.h"
#include "record.h"
#include "spec.h"

enum phase { STARTING, RUNNING };

struct supervisor {
  struct spec spec;
  struct cgroup cgroup;
  struct control control;
  struct output output;
  struct input input;
  int terminal[2]; /* master and slave, or -1 */
  struct status_record status;
  struct exit_record exit;
  enum phase phase;
  uint32_t id_base;
  struct source sync;  /* to init */
  struct source pidfd; /* of init: readable when it has ended */
  int userns;          /* the container's, when its ids were mapped before init was born; else -1 */
  int mounts;          /* the container's mount namespace, or -1 */
  int null;            /* of the container's /dev: what its programs read that are given nothing to read */
  bool ended;
  bool stop_asked; /* it was sent the signal that stops it */
  bool have_wait_status;
  int wait_status; /* of the payload, as init saw it */
};

extern struct supervisor self;

/* Whether the program is PID 1 itself, and no init of ours above it. */
bool is_alone(void);
/* With init every process of its pid namespace dies. */
void kill_all(void);
/* To the program. Returns an errno. */
uint32_t signal_payload(int number);
/* Answers requests of clients on the control socket. */
void requests_install(void);

#endif
