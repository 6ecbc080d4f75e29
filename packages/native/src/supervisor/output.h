/* Standard output and error: a pipe each, emptied into a file of bounded size. The container never waits for a disk. */
#ifndef BERTH_OUTPUT_H
#define BERTH_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct output {
  int pipe; /* read end, -1 when it is at its end */
  int file;
  int writer; /* write end, for the container */
  uint64_t left;
  uint64_t max;
  uint64_t dropped;
  bool marked;
};

int output_open(struct output *output, int state_dir, const char *name, uint64_t max_bytes, uid_t owner,
                struct err *err);
void output_close_writer(struct output *output);
/* Moves what is in the pipe, a bounded amount per call. True while more may come at once. */
bool output_pump(struct output *output);

#endif
