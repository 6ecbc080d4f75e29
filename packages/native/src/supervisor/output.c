/*
 * One batch at a time: a read, at most one write to the log, and the next event. The buffer is the only large piece of
 * memory of a supervisor, so what a batch made of it is given back as soon as the pipe is empty.
 *
 * A flood is bounded four times: by the allowance of the log, by its files, by the pause after each batch that was
 * discarded, and by splice(2), which discards without copying.
 */
#include "output.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fd.h"

#define PAGE 4096u
#define LEAST_ALLOWANCE 4096u
/* So often at most is a flood looked at: 250 times a second, of 512 KiB each. */
#define FLOOD_PAUSE_NS UINT64_C(4000000)
#define FLOOD_PIPE_BYTES 524288
#define MOST_LAST_BATCHES 4096u

static _Alignas(PAGE) unsigned char batch[LOG_HEADROOM + LOG_MAX_RECORD];
static unsigned char *const payload = batch + LOG_HEADROOM;

static bool pump(struct stream *stream, bool last);

static void on_readable(struct source *source, uint32_t events)
{
  struct stream *stream = container_of(source, struct stream, source);
  /* The last writer is gone: what is left is little, and a level-triggered hang-up cannot be paused. */
  (void)pump(stream, (events & EPOLLHUP) != 0);
}

void output_init(struct output *output)
{
  *output = (struct output){ .log = { .dir = -1, .file = -1 }, .writers = { -1, -1 }, .quiet = true };
  for (uint8_t i = 0; i < BERTH_LOG_STREAMS; i++)
    output->streams[i] = (struct stream){
      .source = { .ready = on_readable, .fd = -1 }, .output = output, .id = i, .ended_line = true
    };
}

int output_make_pipes(struct output *output, struct err *err)
{
  for (unsigned i = 0; i < BERTH_LOG_STREAMS; i++) {
    int ends[2];
    if (output->writers[i] >= 0)
      continue;
    if (pipe2(ends, O_CLOEXEC) < 0)
      return err_sys(err, "stdio", "pipe");
    output->streams[i].source.fd = ends[0];
    output->writers[i] = ends[1];
    /* Only our end: a program must not find its output non-blocking. */
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
      return err_sys(err, "stdio", "fcntl");
  }
  return 0;
}

int output_open_pipes(struct output *output, uid_t owner, struct err *err)
{
  if (output_make_pipes(output, err) < 0)
    return -1;
  /* So that the program may open /dev/stdout again. */
  for (unsigned i = 0; i < BERTH_LOG_STREAMS; i++)
    if (fchown(output->writers[i], owner, owner) < 0)
      return err_sys(err, "stdio", "chown");
  return 0;
}

void output_drop_pipes(struct output *output)
{
  output_close_writers(output);
  for (unsigned i = 0; i < BERTH_LOG_STREAMS; i++)
    fd_close(&output->streams[i].source.fd);
}

void output_close_writers(struct output *output)
{
  for (unsigned i = 0; i < BERTH_LOG_STREAMS; i++) {
    if (output->writers[i] >= 0)
      (void)close(output->writers[i]);
    output->writers[i] = -1;
  }
}

int output_watch(struct output *output, struct err *err)
{
  for (unsigned i = 0; i < BERTH_LOG_STREAMS; i++)
    if (output->streams[i].source.fd >= 0 && loop_add(&output->streams[i].source, EPOLLIN, err) < 0)
      return -1;
  return 0;
}

int output_use_terminal(struct output *output, int master, struct err *err)
{
  struct stream *stream = &output->streams[BERTH_LOG_STDOUT];
  stream->source.fd = master;
  stream->terminal = true;
  if (fcntl(master, F_SETFL, O_NONBLOCK) < 0)
    return err_sys(err, "stdio", "fcntl terminal");
  return loop_add(&stream->source, EPOLLIN, err);
}

static void end(struct stream *stream)
{
  loop_remove(&stream->source);
  /* A terminal belongs to who made it. */
  if (!stream->terminal)
    (void)close(stream->source.fd);
  stream->source.fd = -1;
  stream->resume_ns = 0;
}

static void pause_until(struct stream *stream, uint64_t when_ns)
{
  if (stream->resume_ns == 0)
    loop_set(&stream->source, 0);
  stream->resume_ns = when_ns;
}

/* The pipe at its end, the terminal's last process gone (EIO), or what can never be read: it would be ready for ever. */
static bool is_end(ssize_t size)
{
  return size == 0 || (size < 0 && errno != EAGAIN);
}

static void announce(struct stream *stream)
{
  unsigned char frame[LOG_HEADROOM + 96];
  char *text = (char *)frame + LOG_HEADROOM;
  int length = snprintf(text, sizeof frame - LOG_HEADROOM, "%s[berth: %" PRIu64 " bytes of output were discarded]\n",
                        stream->ended_line ? "" : "\n", stream->unannounced);
  if (log_append(&stream->output->log, stream->id, BERTH_LOG_GAP, frame + LOG_HEADROOM, (size_t)length)) {
    stream->unannounced = 0;
    stream->ended_line = true;
  }
}

static void lose(struct stream *stream, size_t length)
{
  stream->dropped += length;
  stream->unannounced += length;
}

/* True while more may come at once. */
static bool discard(struct stream *stream, uint64_t now_ns, bool last)
{
  struct output *output = stream->output;
  ssize_t size;
  /* Standard input is /dev/null, open for writing as well. */
  if (output->quiet && !stream->terminal)
    size = RETRY_INTR(splice(stream->source.fd, NULL, STDIN_FILENO, NULL, FLOOD_PIPE_BYTES, SPLICE_F_NONBLOCK));
  else {
    size = RETRY_INTR(read(stream->source.fd, payload, LOG_MAX_RECORD));
    if (size > 0)
      output->attached(stream->id, payload, (size_t)size);
  }
  if (is_end(size)) {
    end(stream);
    return false;
  }
  if (size <= 0)
    return false;
  lose(stream, (size_t)size);
  if (last)
    return true;
  if (!stream->enlarged && !stream->terminal) {
    stream->enlarged = true;
    (void)fcntl(stream->source.fd, F_SETPIPE_SZ, FLOOD_PIPE_BYTES);
  }
  pause_until(stream, now_ns + FLOOD_PAUSE_NS);
  return false;
}

/* One batch. True while more may come at once. */
static bool pump(struct stream *stream, bool last)
{
  struct output *output = stream->output;
  if (stream->source.fd < 0)
    return false;
  uint64_t now_ns = monotonic_ns();
  uint64_t allowed = log_allowance(&output->log, now_ns);
  if (output->log.file_bytes == 0)
    return discard(stream, now_ns, last);
  if (allowed < LEAST_ALLOWANCE) {
    if (!output->wait)
      return discard(stream, now_ns, last);
    if (!last) {
      pause_until(stream, now_ns + UINT64_C(1000000000) * LEAST_ALLOWANCE / output->log.per_second);
      return false;
    }
    allowed = UINT64_MAX;
  }
  if (stream->unannounced > 0)
    announce(stream);
  size_t most = log_room(&output->log);
  if (most > allowed)
    most = (size_t)allowed;
  ssize_t size = RETRY_INTR(read(stream->source.fd, payload, most));
  if (is_end(size)) {
    end(stream);
    return false;
  }
  if (size <= 0)
    return false;
  size_t length = (size_t)size;
  bool ended_line = payload[length - 1] == '\n';
  if (!output->quiet)
    output->attached(stream->id, payload, length);
  /* ENOSPC, EIO, EDQUOT: this much is lost, the next attempt may find room again. */
  if (log_append(&output->log, stream->id, ended_line ? 0 : (uint8_t)BERTH_LOG_PARTIAL, payload, length))
    stream->ended_line = ended_line;
  else
    lose(stream, length);
  if (length < most && length > PAGE - LOG_HEADROOM)
    (void)madvise(batch + PAGE, sizeof batch - PAGE, MADV_DONTNEED);
  return true;
}

void output_finish(struct output *output)
{
  for (unsigned i = 0; i < BERTH_LOG_STREAMS; i++) {
    struct stream *stream = &output->streams[i];
    /* Bounded: a process outside of the container may hold the other end. */
    for (unsigned batches = 0; batches < MOST_LAST_BATCHES && pump(stream, true); batches++) {
    }
    if (stream->unannounced > 0 && output->log.file_bytes > 0)
      announce(stream);
  }
}

int output_timeout(const struct output *output)
{
  uint64_t first = 0;
  for (unsigned i = 0; i < BERTH_LOG_STREAMS; i++) {
    uint64_t resume = output->streams[i].resume_ns;
    if (resume != 0 && (first == 0 || resume < first))
      first = resume;
  }
  if (first == 0)
    return -1;
  uint64_t now = monotonic_ns();
  return first <= now ? 0 : (int)((first - now) / 1000000 + 1);
}

void output_resume(struct output *output)
{
  uint64_t now = monotonic_ns();
  for (unsigned i = 0; i < BERTH_LOG_STREAMS; i++) {
    struct stream *stream = &output->streams[i];
    if (stream->resume_ns != 0 && stream->resume_ns <= now) {
      stream->resume_ns = 0;
      loop_set(&stream->source, EPOLLIN);
    }
  }
}

uint64_t output_dropped(const struct output *output)
{
  return output->streams[0].dropped + output->streams[1].dropped;
}
