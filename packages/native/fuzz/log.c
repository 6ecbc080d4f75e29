/*
 * Any order of records of any size, on a disk that sometimes takes half of one: a reader that knows nothing but
 * include/log.h finds whole records in whole blocks, all bytes of a stream that it counts are those that were accepted,
 * and the files keep their bound.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "fuzz.h"
#include "scratch.h"

static bool torn;

static ssize_t maybe_pwrite(int fd, const void *bytes, size_t size, off_t at)
{
  return (pwrite)(fd, bytes, torn && size > 1 ? size / 2 : size, at);
}

#define pwrite(fd, bytes, size, at) maybe_pwrite(fd, bytes, size, at)
#include "../src/supervisor/log.c"
#undef pwrite

static int state = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  state = scratch_directory();
  return state < 0;
}

/* The bytes of the records of one block that a reader believes, each stream's added to `sums`. */
static void check_block(const unsigned char *block, size_t size, uint64_t number, uint64_t index, uint64_t *sums)
{
  struct berth_log_block header;
  if (size < sizeof header)
    return;
  memcpy(&header, block, sizeof header);
  const size_t skip = offsetof(struct berth_log_block, version);
  if (header.magic != BERTH_LOG_MAGIC || header.crc != crc32(0, block + skip, sizeof header - skip))
    return;
  must(header.file == number && header.index == index);
  for (unsigned i = 0; i < BERTH_LOG_STREAMS; i++) {
    must(header.offsets[i] >= sums[i]);
    sums[i] = header.offsets[i];
  }
  struct berth_log_record record;
  for (size_t at = sizeof header; at + sizeof record <= size;) {
    memcpy(&record, block + at, sizeof record);
    if (record.length == 0 || at + sizeof record + record.length > size ||
        record.crc != crc32(0, block + at + 4, sizeof record - 4 + record.length))
      return;
    must(record.stream < BERTH_LOG_STREAMS);
    for (size_t i = 0; i < record.length; i++)
      must(block[at + sizeof record + i] == (unsigned char)('a' + record.stream));
    sums[record.stream] += record.length;
    at += sizeof record + record.length;
  }
}

static void check_files(const struct log *log, const uint64_t *accepted)
{
  uint64_t sums[BERTH_LOG_STREAMS] = { 0 };
  uint64_t first = log->number > log->files ? log->number - log->files + 1 : 1;
  uint64_t total = 0;
  for (uint64_t number = first; number <= log->number; number++) {
    char name[24];
    static unsigned char block[BERTH_LOG_BLOCK];
    (void)snprintf(name, sizeof name, "%" PRIu64, number);
    int fd = openat(log->dir, name, O_RDONLY | O_CLOEXEC);
    must(fd >= 0);
    for (uint64_t index = 0;; index++) {
      ssize_t size = pread(fd, block, sizeof block, (off_t)(index * sizeof block));
      must(size >= 0);
      if (size == 0)
        break;
      total += (uint64_t)size;
      check_block(block, (size_t)size, number, index, sums);
    }
    must(close(fd) == 0);
  }
  must(total <= log->file_bytes * log->files);
  for (unsigned i = 0; i < BERTH_LOG_STREAMS; i++)
    must(sums[i] <= accepted[i]);
  /* With a disk that takes everything, nothing may be missing. */
  if (!torn)
    for (unsigned i = 0; i < BERTH_LOG_STREAMS; i++)
      must(sums[i] == accepted[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static unsigned char buffer[LOG_HEADROOM + LOG_MAX_RECORD];
  struct log log;
  uint64_t accepted[BERTH_LOG_STREAMS] = { 0 };
  if (size < 2 || size > 512)
    return 0;
  const struct log_limits limits = { .bytes = (uint64_t)(1 + data[0] % 8) * BERTH_LOG_BLOCK, .files = 2 + data[1] % 3 };
  log_open(&log, state, &limits);
  bool ever_torn = false;
  for (size_t i = 2; i + 2 < size; i += 3) {
    uint8_t stream = data[i] & 1;
    torn = (data[i] & 0xf0) == 0xf0;
    ever_torn = ever_torn || torn;
    size_t room = log_room(&log);
    must(room >= 1 && room <= LOG_MAX_RECORD);
    size_t length = 1 + ((size_t)data[i + 1] << 8 | data[i + 2]) % room;
    memset(buffer + LOG_HEADROOM, 'a' + stream, length);
    if (log_append(&log, stream, 0, buffer + LOG_HEADROOM, length))
      accepted[stream] += length;
  }
  torn = ever_torn;
  if (log.number > 0)
    check_files(&log, accepted);
  if (log.file >= 0)
    must(close(log.file) == 0);
  if (log.dir >= 0)
    must(close(log.dir) == 0);
  scratch_remove();
  must(mkdir(scratch, 0700) == 0 && close(state) == 0);
  state = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  must(state >= 0);
  return 0;
}
