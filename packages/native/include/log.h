/*
 * The log of a container on disk: src/supervisor/log.c writes it, lib/log-format.ts reads it.
 *
 * A directory of files with increasing numbers as names; the highest is written to, the lowest is deleted when there
 * would be too many. Nothing is ever renamed or written twice, so a reader may stand anywhere at any time. A file is a
 * sequence of blocks of 64 KiB. A block begins with a header that says how many bytes of each stream came before it;
 * records follow, none crosses the end of its block, and zeros fill what is left. So any byte of a stream is found by a
 * few reads, and damage ends where the next block begins.
 *
 * A record that is cut short, or whose CRC-32 (the one of zlib) is wrong, is the torn tail of a supervisor that was
 * killed, or one that is just being written. Little-endian.
 */
#ifndef BERTH_LOG_H
#define BERTH_LOG_H

#include <stdint.h>

#define BERTH_LOG_MAGIC 0x474f4c42u /* "BLOG" */
#define BERTH_LOG_VERSION 1u
#define BERTH_LOG_BLOCK 65536u
#define BERTH_LOG_STREAMS 2u

/* The streams of a record; a terminal is one stream, the first. */
#define BERTH_LOG_STDOUT 0u
#define BERTH_LOG_STDERR 1u

struct berth_log_block {
  uint32_t magic;
  uint32_t crc; /* of the rest of this header */
  uint16_t version;
  uint16_t reserved[3];
  uint64_t file;                       /* its number */
  uint64_t index;                      /* of this block in its file */
  uint64_t offsets[BERTH_LOG_STREAMS]; /* bytes of each stream before this block */
};

/* The last byte is not the end of a line. */
#define BERTH_LOG_PARTIAL 1u
/* Written by the supervisor: a line that says how many bytes of this stream were discarded here. */
#define BERTH_LOG_GAP 2u

struct berth_log_record {
  uint32_t crc; /* of the rest of this header and the bytes after it */
  uint16_t length;
  uint8_t stream;
  uint8_t flags;
  uint64_t time_ms; /* since 1970 */
};

_Static_assert(sizeof(struct berth_log_block) == 48 && sizeof(struct berth_log_record) == 16, "layout on disk");

#endif
