/* Standard input of a program: a pipe or the master of a terminal, fed by clients as fast as the program reads. */
#ifndef BERTH_INPUT_H
#define BERTH_INPUT_H

#include <stdbool.h>
#include <sys/types.h>

#include "control.h"
#include "err.h"
#include "loop.h"

struct input {
  struct source source; /* watched only while somebody waits for room in it */
  struct control *control;
  bool terminal;
  bool awaited;
};

void input_init(struct input *input, struct control *control);
/* A pipe; returns its end for the program, or -1. */
int input_open_pipe(struct input *input, uid_t owner, struct err *err);
int input_use_terminal(struct input *input, int master, struct err *err);
bool input_is_open(const struct input *input);
/* Moves bytes that follow a request of `client`, or blocks it until there is room. What nobody reads is thrown away. */
void input_take(struct input *input, struct control_client *client);
/* The program reads to its end; a terminal is told by its end-of-file character. */
void input_end(struct input *input);
void input_close(struct input *input);

#endif
