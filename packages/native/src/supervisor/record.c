#include "record.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../../include/control.h"
#include "fd.h"

uint64_t record_now_ms(void)
{
  struct timespec now;
  (void)clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* JSON string contents (RFC 8259): bytes outside of printable ASCII become '?', since they may be no UTF-8. */
static void escape(char *out, size_t size, const char *text)
{
  size_t used = 0;
  for (; *text != '\0' && used + 3 < size; text++) {
    if (*text == '"' || *text == '\\')
      out[used++] = '\\';
    out[used++] = (char)(*text >= 0x20 && *text < 0x7f ? *text : '?');
  }
  out[used] = '\0';
}

static const char *boot_id(void)
{
  static char id[64];
  if (id[0] == '\0') {
    if (fd_read_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", id, sizeof id) < 0)
      return "unknown";
    id[strcspn(id, "\n")] = '\0';
  }
  return id;
}

void record_prepare(void)
{
  (void)boot_id();
}

static void number_or_null(char *out, size_t size, uint64_t value)
{
  if (value == 0)
    (void)snprintf(out, size, "null");
  else
    (void)snprintf(out, size, "%" PRIu64, value);
}

static size_t clamp(int length, size_t size)
{
  return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}

size_t record_format_status(char *buffer, size_t size, const struct status_record *status)
{
  char pid[24], init_pid[24], started[24];
  number_or_null(pid, sizeof pid, (uint64_t)status->pid);
  number_or_null(init_pid, sizeof init_pid, (uint64_t)status->init_pid);
  number_or_null(started, sizeof started, status->started_at_ms);
  return clamp(snprintf(buffer, size,
                        "{\"version\":1,\"state\":\"%s\",\"bootId\":\"%s\",\"supervisorPid\":%d,\"initPid\":%s,\"pid\":%s,"
                        "\"createdAtMs\":%" PRIu64 ",\"startedAtMs\":%s,\"controlLevel\":%u,\"cgroupParent\":\"%s\","
                        "\"stopSignal\":%u}\n",
                        status->state, boot_id(), getpid(), init_pid, pid, status->created_at_ms, started,
                        BERTH_CONTROL_LEVEL, status->cgroup_parent, status->stop_signal),
               size);
}

size_t record_format_exit(char *buffer, size_t size, const struct exit_record *record)
{
  static const char *const causes[] = { "exited", "signalled", "oom", "start_failed", "lease_ended" };
  char signal[24], started[24], cpu[24], peak[24], detail[2 * sizeof record->err.detail], stage[2 * sizeof record->err.stage];
  char error[sizeof detail + sizeof stage + 64] = "null";
  number_or_null(signal, sizeof signal, (uint64_t)record->signal);
  number_or_null(started, sizeof started, record->started_at_ms);
  number_or_null(cpu, sizeof cpu, record->cpu_us);
  number_or_null(peak, sizeof peak, record->peak_bytes);
  if (record->cause == CAUSE_START_FAILED) {
    escape(detail, sizeof detail, record->err.detail);
    escape(stage, sizeof stage, record->err.stage);
    (void)snprintf(error, sizeof error, "{\"stage\":\"%s\",\"errno\":%d,\"detail\":\"%s\"}", stage, record->err.number,
                   detail);
  }
  return clamp(snprintf(buffer, size,
                        "{\"version\":1,\"code\":%d,\"signal\":%s,\"oom\":%s,\"cause\":\"%s\",\"error\":%s,"
                        "\"createdAtMs\":%" PRIu64 ",\"startedAtMs\":%s,\"finishedAtMs\":%" PRIu64 ",\"droppedBytes\":%" PRIu64
                        ",\"cpuMicros\":%s,\"peakMemoryBytes\":%s}\n",
                        record->code, signal, record->oom ? "true" : "false", causes[record->cause], error,
                        record->created_at_ms, started,
                        record->finished_at_ms, record->dropped_bytes, cpu, peak),
               size);
}

int record_write(int state_dir, const char *name, const char *text, size_t length, struct err *err)
{
  char temporary[32];
  (void)snprintf(temporary, sizeof temporary, "%s.tmp", name);
  /* A standby has made it. It is not opened with O_TRUNC: what was cut to nothing, even an empty file, is written to the
     disk as soon as it is closed (ext4, auto_da_alloc). */
  cleanup_close int fd = RETRY_INTR(openat(state_dir, temporary, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  struct stat info;
  if (fd < 0 || fstat(fd, &info) < 0)
    return err_sys(err, "record", "create %s", temporary);
  if ((info.st_size > 0 && ftruncate(fd, 0) < 0) || fd_write_all(fd, text, length) < 0)
    return err_sys(err, "record", "write %s", temporary);
  if (renameat(state_dir, temporary, state_dir, name) < 0)
    return err_sys(err, "record", "rename %s", name);
  return 0;
}

int record_rewrite(int state_dir, const char *name, const char *text, size_t length, struct err *err)
{
  cleanup_close int fd = RETRY_INTR(openat(state_dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat info;
  if (fd < 0 || fstat(fd, &info) < 0)
    return err_sys(err, "record", "open %s", name);
  /* Blanks up to the old end, which JSON ignores: there is no moment in which the file is shorter or has two ends. */
  char padded[RECORD_MAX];
  size_t size = (size_t)info.st_size < sizeof padded ? (size_t)info.st_size : sizeof padded;
  if (length > sizeof padded)
    length = sizeof padded;
  if (size < length)
    size = length;
  memset(padded, ' ', size);
  memcpy(padded, text, length);
  if (fd_write_all(fd, padded, size) < 0)
    return err_sys(err, "record", "write %s", name);
  return 0;
}

int record_write_exit_in_place(int state_dir, const char *text, size_t length, struct err *err)
{
  cleanup_close int fd = RETRY_INTR(openat(state_dir, "status", O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd < 0 || fd_write_all(fd, text, length) < 0 || ftruncate(fd, (off_t)length) < 0)
    return err_sys(err, "record", "write over status");
  if (renameat(state_dir, "status", state_dir, "exit") < 0)
    return err_sys(err, "record", "rename exit");
  return 0;
}

void record_flush(int state_dir, const char *name)
{
  cleanup_close int fd = RETRY_INTR(openat(state_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd >= 0)
    (void)fsync(fd);
  cleanup_close int dir = RETRY_INTR(openat(state_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir >= 0)
    (void)fsync(dir);
}
