#include "namespaces.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "join.h"

#define STAGE_TIME "namespaces.time"

/* time_namespaces(7): seconds and nanoseconds per clock, writable until the first process enters. Offsets apply to who
   is born into it, so init moves there itself: what it starts later is there as well. */
static int enter_time(const struct berth_namespaces *wanted, struct err *err)
{
  char text[128];
  if (unshare(CLONE_NEWTIME) < 0)
    return err_sys(err, STAGE_TIME, "unshare");
  const int64_t offsets[] = { wanted->monotonic_ms, wanted->boottime_ms };
  int64_t seconds[2], nanos[2];
  for (unsigned i = 0; i < 2; i++) {
    seconds[i] = offsets[i] / 1000;
    nanos[i] = offsets[i] % 1000 * 1000000;
    if (nanos[i] < 0) {
      nanos[i] += 1000000000;
      seconds[i]--;
    }
  }
  (void)snprintf(text, sizeof text, "monotonic %" PRId64 " %" PRId64 "\nboottime %" PRId64 " %" PRId64 "\n", seconds[0],
                 nanos[0], seconds[1], nanos[1]);
  if (fd_write_at(AT_FDCWD, "/proc/self/timens_offsets", text) < 0)
    return err_sys(err, STAGE_TIME, "timens_offsets %" PRId64 " ms, %" PRId64 " ms", offsets[0], offsets[1]);
  cleanup_close int fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0)
    return err_sys(err, STAGE_TIME, "enter");
  return 0;
}

int namespaces_setup(const struct spec *spec, struct err *err)
{
  const struct berth_namespaces *wanted = spec_section(spec, BERTH_SECTION_NAMESPACES);
  if (wanted == NULL)
    return 0;
  if (wanted->domainname.length != 0) {
    const char *name = spec_text(spec, wanted->domainname);
    if (setdomainname(name, strlen(name)) < 0)
      return err_sys(err, "domainname", "%s", name);
  }
  if (join_enter(spec, CLONE_NEWTIME, "time", err) < 0 || join_enter(spec, CLONE_NEWCGROUP, "cgroup", err) < 0)
    return -1;
  return (wanted->flags & BERTH_NAMESPACES_TIME) != 0 ? enter_time(wanted, err) : 0;
}
