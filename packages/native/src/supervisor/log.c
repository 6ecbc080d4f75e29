#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "crc.h"
#include "fd.h"
#include "record.h"

#define NS_PER_S UINT64_C(1000000000)
/* The end of a block is left empty rather than split into ever smaller records. */
#define LEAST_RECORD 256u
#define BURST_SECONDS 4u

uint64_t monotonic_ns(void)
{
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void log_open(struct log *log, int state_dir, const struct log_limits *limits)
{
  *log = (struct log){
    .state_dir = state_dir, .dir = -1, .file = -1, .files = limits->files, .per_second = limits->per_second
  };
  log->tokens = log->per_second * BURST_SECONDS;
  log->filled_ns = monotonic_ns();
  if (limits->bytes == 0)
    return;
  log->file_bytes = limits->bytes / limits->files / BERTH_LOG_BLOCK * BERTH_LOG_BLOCK;
  if (log->file_bytes == 0)
    log->file_bytes = BERTH_LOG_BLOCK;
  /* As if a file had just become full: the first is made for the first byte. */
  log->position = log->file_bytes;
}

/* Made for the first byte: most of what runs a moment says nothing, and a directory costs more than a file. */
static int folder(struct log *log)
{
  if (log->dir >= 0)
    return 0;
  if (mkdirat(log->state_dir, "log", 0700) < 0 && errno != EEXIST)
    return -1;
  log->dir = RETRY_INTR(openat(log->state_dir, "log", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  return log->dir < 0 ? -1 : 0;
}

static size_t left_in_block(const struct log *log)
{
  size_t used = (size_t)(log->position % BERTH_LOG_BLOCK);
  return used == 0 ? 0 : BERTH_LOG_BLOCK - used;
}

size_t log_room(const struct log *log)
{
  size_t left = left_in_block(log);
  return left < LEAST_RECORD + sizeof(struct berth_log_record) ? LOG_MAX_RECORD
                                                                : left - sizeof(struct berth_log_record);
}

uint64_t log_allowance(struct log *log, uint64_t now_ns)
{
  if (log->per_second == 0)
    return UINT64_MAX;
  uint64_t most = log->per_second * BURST_SECONDS;
  uint64_t passed = now_ns - log->filled_ns;
  uint64_t more = passed >= BURST_SECONDS * NS_PER_S
                      ? most
                      : (uint64_t)((unsigned __int128)passed * log->per_second / NS_PER_S);
  /* Too short a time for a byte counts together with the next. */
  if (more > 0) {
    log->tokens = more > most - log->tokens ? most : log->tokens + more;
    log->filled_ns = now_ns;
  }
  return log->tokens;
}

/* The oldest goes first: a full disk then has room for the new one, and a kill in between leaves one too few. */
static int rotate(struct log *log)
{
  char name[24];
  uint64_t next = log->number + 1;
  if (folder(log) < 0)
    return -1;
  if (next > log->files) {
    (void)snprintf(name, sizeof name, "%" PRIu64, next - log->files);
    (void)unlinkat(log->dir, name, 0);
  }
  (void)snprintf(name, sizeof name, "%" PRIu64, next);
  int file = RETRY_INTR(openat(log->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file < 0)
    return -1;
  if (log->file >= 0)
    (void)close(log->file);
  log->file = file;
  log->number = next;
  log->position = 0;
  return 0;
}

/* Into the bytes before `at`; its new start. */
static unsigned char *put_block_header(const struct log *log, unsigned char *at)
{
  struct berth_log_block block = {
    .magic = BERTH_LOG_MAGIC,
    .version = BERTH_LOG_VERSION,
    .file = log->number,
    .index = log->position / BERTH_LOG_BLOCK,
    .offsets = { log->offsets[0], log->offsets[1] },
  };
  const size_t skip = offsetof(struct berth_log_block, version);
  block.crc = crc32(0, (const unsigned char *)&block + skip, sizeof block - skip);
  at -= sizeof block;
  memcpy(at, &block, sizeof block);
  return at;
}

bool log_append(struct log *log, uint8_t stream, uint8_t flags, unsigned char *bytes, size_t length)
{
  if (left_in_block(log) < LEAST_RECORD + sizeof(struct berth_log_record))
    log->position += left_in_block(log);
  if (log->position >= log->file_bytes && rotate(log) < 0)
    return false;

  struct berth_log_record record = {
    .length = (uint16_t)length, .stream = stream, .flags = flags, .time_ms = record_now_ms()
  };
  unsigned char *start = bytes - sizeof record;
  memcpy(start, &record, sizeof record);
  record.crc = crc32(0, start + sizeof record.crc, sizeof record - sizeof record.crc + length);
  memcpy(start, &record.crc, sizeof record.crc);
  if (log->position % BERTH_LOG_BLOCK == 0)
    start = put_block_header(log, start);

  size_t total = (size_t)(bytes - start) + length;
  ssize_t written = RETRY_INTR(pwrite(log->file, start, total, (off_t)log->position));
  if (written > 0 && (size_t)written == total) {
    log->position += total;
    log->offsets[stream] += length;
    log->tokens -= length < log->tokens ? length : log->tokens;
    return true;
  }
  if (written > 0)
    log->position += BERTH_LOG_BLOCK - log->position % BERTH_LOG_BLOCK;
  return false;
}
