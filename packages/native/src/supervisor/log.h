/* Writes the log of a container (include/log.h): one write per record, rotation by size, an allowance per second. */
#ifndef BERTH_SUPERVISOR_LOG_H
#define BERTH_SUPERVISOR_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../include/log.h"

/* In front of the bytes of a record there must be this much room for headers. */
#define LOG_HEADROOM (sizeof(struct berth_log_block) + sizeof(struct berth_log_record))
#define LOG_MAX_RECORD (BERTH_LOG_BLOCK - LOG_HEADROOM)

struct log_limits {
  uint64_t bytes;    /* of all files together; 0: nothing is kept */
  uint32_t files;    /* at least 2 */
  uint64_t per_second; /* 0: no limit */
};

struct log {
  int state_dir;
  int dir; /* `log` in it; -1 before the first byte */
  int file;
  uint32_t files;
  uint64_t file_bytes; /* whole blocks; 0: nothing is kept */
  uint64_t number;     /* of the file that is written to, 0 before the first */
  uint64_t position;   /* of the next record in it */
  uint64_t offsets[BERTH_LOG_STREAMS];
  uint64_t per_second;
  uint64_t tokens; /* bytes that may be written now */
  uint64_t filled_ns;
};

uint64_t monotonic_ns(void);
/* `state_dir` stays open for as long as it is written to. */
void log_open(struct log *log, int state_dir, const struct log_limits *limits);
/* How many bytes the next record may hold: what is left of its block. */
size_t log_room(const struct log *log);
/* How many bytes may be written at this moment. Saves up to four seconds' worth. */
uint64_t log_allowance(struct log *log, uint64_t now_ns);
/* `bytes` has LOG_HEADROOM writable bytes before it. False when the disk did not take all of it: then it is lost, and
   the next record goes where no reader takes what was written for something else. */
bool log_append(struct log *log, uint8_t stream, uint8_t flags, unsigned char *bytes, size_t length);

#endif
