/*
 * splice(2) moves pages from the pipe to the file without a buffer of our own. When the file has reached its size, or
 * the disk is full, the rest is counted and thrown away: losing output is better than stopping a program that cannot
 * know why it stands still.
 */
#include "output.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fd.h"

#define CHUNK ((size_t)256 * 1024)

int output_open(struct output *output, int state_dir, const char *name, uint64_t max_bytes, uid_t owner,
                struct err *err)
{
  int ends[2];
  *output = (struct output){ .pipe = -1, .file = -1, .writer = -1, .left = max_bytes, .max = max_bytes };
  if (pipe2(ends, O_CLOEXEC) < 0)
    return err_sys(err, "stdio", "pipe for %s", name);
  output->pipe = ends[0];
  output->writer = ends[1];
  /* Only our end: a program must not find its output non-blocking. */
  if (fcntl(output->pipe, F_SETFL, O_NONBLOCK) < 0)
    return err_sys(err, "stdio", "fcntl %s", name);
  /* So that the program may open /dev/stdout again. */
  if (fchown(output->writer, owner, owner) < 0)
    return err_sys(err, "stdio", "chown %s", name);
  output->file =
      RETRY_INTR(openat(state_dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (output->file < 0)
    return err_sys(err, "stdio", "create %s", name);
  return 0;
}

void output_close_writer(struct output *output)
{
  if (output->writer >= 0)
    (void)close(output->writer);
  output->writer = -1;
}

static void mark(struct output *output)
{
  if (output->marked)
    return;
  char text[96];
  int length = snprintf(text, sizeof text, "\n[berth: output beyond %" PRIu64 " bytes was discarded]\n", output->max);
  output->marked = true;
  (void)fd_write_all(output->file, text, (size_t)length);
}

static void end(struct output *output)
{
  (void)close(output->pipe);
  output->pipe = -1;
}

/* Reads and forgets. */
static bool discard(struct output *output)
{
  char scrap[4096];
  for (unsigned i = 0; i < CHUNK / sizeof scrap; i++) {
    ssize_t size = RETRY_INTR(read(output->pipe, scrap, sizeof scrap));
    if (size == 0)
      end(output);
    if (size <= 0)
      return false;
    output->dropped += (uint64_t)size;
    if (output->left == 0)
      mark(output);
  }
  return true;
}

bool output_pump(struct output *output)
{
  if (output->pipe < 0)
    return false;
  if (output->left == 0)
    return discard(output);
  size_t most = output->left < CHUNK ? (size_t)output->left : CHUNK;
  ssize_t moved = RETRY_INTR(splice(output->pipe, NULL, output->file, NULL, most, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
  if (moved > 0) {
    output->left -= (uint64_t)moved;
    return true;
  }
  if (moved == 0) {
    end(output);
    return false;
  }
  if (errno == EAGAIN)
    return false;
  /* ENOSPC, EIO, EDQUOT: this much is lost, the next attempt may find room again. */
  return discard(output);
}
