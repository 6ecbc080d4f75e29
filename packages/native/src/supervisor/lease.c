#include "lease.h"

#include <errno.h>
#include <signal.h>
#include <sys/timerfd.h>
#include <time.h>

#include "fd.h"
#include "loop.h"
#include "supervisor.h"

static void on_time(struct source *source, uint32_t events);

static struct {
  struct source timer;
  uint32_t grace_ms;
  uint64_t until_ms;
  bool ended;
} lease = { .timer = { on_time, -1 } };

static int set(uint64_t at_ms)
{
  /* A time of zero would disarm it. */
  const struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at_ms / 1000),
                                                 .tv_nsec = (long)(at_ms % 1000) * 1000000 + 1 } };
  return timerfd_settime(lease.timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static uint64_t now_ms(void)
{
  struct timespec now;
  (void)clock_gettime(CLOCK_BOOTTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int lease_open(const struct spec *spec, struct err *err)
{
  const struct berth_lease *given = spec_section(spec, BERTH_SECTION_LEASE);
  if (given == NULL)
    return 0;
  lease.grace_ms = given->grace_ms;
  lease.until_ms = given->until_ms;
  lease.timer.fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  if (lease.timer.fd < 0 || set(given->until_ms) < 0)
    return err_sys(err, "lease", "timerfd");
  return loop_add(&lease.timer, EPOLLIN, err);
}

uint32_t lease_renew(uint64_t until_ms)
{
  if (lease.timer.fd < 0)
    return ENOENT;
  if (lease.ended || now_ms() >= lease.until_ms)
    return ESTALE;
  if (until_ms <= lease.until_ms)
    return 0;
  if (set(until_ms) < 0)
    return (uint32_t)errno;
  lease.until_ms = until_ms;
  return 0;
}

bool lease_has_ended(void)
{
  return lease.ended;
}

/* First the signal, then the kill. What does not run yet, or stands still, has no use for a grace. */
static void on_time(struct source *source, uint32_t events)
{
  uint64_t times;
  (void)events;
  if (RETRY_INTR(read(source->fd, &times, sizeof times)) != sizeof times)
    return;
  bool first = !lease.ended;
  lease.ended = true;
  if (!first || lease.grace_ms == 0 || self.phase != RUNNING || set(lease.until_ms + lease.grace_ms) < 0) {
    loop_close(source);
    kill_all();
    return;
  }
  (void)signal_payload((int)self.status.stop_signal);
}
