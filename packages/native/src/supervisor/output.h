/*
 * What the container writes: two pipes, or the master of its terminal. Every byte goes to the log and to whoever is
 * attached. The container never waits for a disk, and what it writes faster than its allowance is discarded and counted,
 * or waits if the spec says so.
 */
#ifndef BERTH_OUTPUT_H
#define BERTH_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "log.h"
#include "loop.h"

struct stream {
  struct source source;
  struct output *output;
  uint8_t id; /* BERTH_LOG_STDOUT or BERTH_LOG_STDERR */
  bool terminal;
  bool ended_line;      /* the last byte that was kept ended a line */
  bool enlarged;        /* the pipe, because of a flood */
  uint64_t resume_ns;   /* 0: not paused */
  uint64_t dropped;     /* bytes that were not kept */
  uint64_t unannounced; /* those of them that the log does not tell of yet */
};

struct output {
  struct log log;
  struct stream streams[BERTH_LOG_STREAMS];
  int writers[BERTH_LOG_STREAMS]; /* for the container */
  bool wait;                      /* beyond the allowance the container waits */
  bool quiet;                     /* nobody is attached */
  /* Everybody who is attached gets these bytes; `bytes` has LOG_HEADROOM writable bytes before it. */
  void (*attached)(uint8_t stream, unsigned char *bytes, size_t length);
};

void output_init(struct output *output);
/* A pipe for each stream, before it is known whose; what is there already is left. */
int output_make_pipes(struct output *output, struct err *err);
/* For whoever has a terminal instead. */
void output_drop_pipes(struct output *output);
/* A pipe for each stream, owned by `owner`. */
int output_open_pipes(struct output *output, uid_t owner, struct err *err);
void output_close_writers(struct output *output);
int output_watch(struct output *output, struct err *err);
/* The master of a terminal is the only stream; it stays open. */
int output_use_terminal(struct output *output, int master, struct err *err);
/* What is left in the pipes, at the end. */
void output_finish(struct output *output);
/* Milliseconds until a paused stream goes on, -1 when none is. */
int output_timeout(const struct output *output);
/* Lets streams go on whose pause is over. */
void output_resume(struct output *output);
uint64_t output_dropped(const struct output *output);

#endif
