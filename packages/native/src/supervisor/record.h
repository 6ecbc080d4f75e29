/* What remains when everybody is gone: `status` while it runs, `exit` once it has ended. JSON, one line, whole or absent. */
#ifndef BERTH_RECORD_H
#define BERTH_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

#define RECORD_MAX 1536

enum exit_cause { CAUSE_EXITED, CAUSE_SIGNALLED, CAUSE_OOM, CAUSE_START_FAILED, CAUSE_LEASE_ENDED };

struct status_record {
  const char *state; /* "starting" or "running" */
  const char *cgroup_parent;
  pid_t init_pid;
  pid_t pid; /* 0: not yet */
  uint64_t created_at_ms;
  uint64_t started_at_ms;
  uint32_t stop_signal; /* what `stop` sends when it is not told */
};

struct exit_record {
  enum exit_cause cause;
  int code;
  int signal; /* 0: none */
  bool oom;
  uint64_t created_at_ms;
  uint64_t started_at_ms; /* 0: never */
  uint64_t finished_at_ms;
  uint64_t dropped_bytes; /* output that was not kept */
  uint64_t cpu_us;        /* 0: not known */
  uint64_t peak_bytes;    /* most memory at one time; 0: not known */
  struct err err;         /* when the start failed */
};

uint64_t record_now_ms(void);
/* Reads what every record says and no container changes. */
void record_prepare(void);
size_t record_format_status(char *buffer, size_t size, const struct status_record *status);
size_t record_format_exit(char *buffer, size_t size, const struct exit_record *record);
/* Replaces file `name` of the state directory atomically. Nothing is flushed to disk. */
int record_write(int state_dir, const char *name, const char *text, size_t length, struct err *err);
/* Overwrites a record that exists, in one write: cheaper than a new file, and as whole for who reads it afterwards. */
int record_rewrite(int state_dir, const char *name, const char *text, size_t length, struct err *err);
/* For a full disk: turns the blocks of `status`, which exist already, into `exit`. */
int record_write_exit_in_place(int state_dir, const char *text, size_t length, struct err *err);
void record_flush(int state_dir, const char *name);

#endif
