/* What the kernel has counted of all that was ever in a container's cgroups. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "exec_cgroup.h"
#include "fd.h"

/* The number behind `key` at the beginning of a line. */
static uint64_t keyed(const char *text, const char *key)
{
  size_t length = strlen(key);
  for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
    if (*line == '\n')
      line++;
    if (strncmp(line, key, length) == 0 && line[length] == ' ')
      return strtoull(line + length + 1, NULL, 10);
  }
  return 0;
}

/* Where something is counted. Every v2 cgroup counts processor time, even without the controller. */
struct count {
  const struct cgroup_place *place;
  const char *file, *key; /* NULL: the number stands alone */
};

static const struct cgroup_place *place_with(const struct cgroup *cgroup, uint32_t controller, bool any_v2)
{
  for (unsigned i = 0; i < cgroup->count; i++)
    if ((cgroup->places[i].controllers & controller) != 0 || (any_v2 && cgroup->places[i].version == 2))
      return &cgroup->places[i];
  return NULL;
}

static const char *kills_file(uint32_t version)
{
  return version == 1 ? "memory.oom_control" : "memory.events";
}

static struct count count_of(const struct cgroup *cgroup, enum cgroup_count what)
{
  struct count count = { .place = what == CGROUP_CPU ? place_with(cgroup, BERTH_CONTROLLER_CPUACCT, true)
                                                     : place_with(cgroup, BERTH_CONTROLLER_MEMORY, false) };
  const bool v1 = count.place != NULL && count.place->version == 1;
  if (what == CGROUP_CPU) {
    count.file = v1 ? "cpuacct.usage" : "cpu.stat";
    count.key = v1 ? NULL : "usage_usec";
  } else if (what == CGROUP_PEAK)
    count.file = v1 ? "memory.max_usage_in_bytes" : "memory.peak";
  else {
    count.file = kills_file(v1 ? 1 : 2);
    count.key = "oom_kill";
  }
  return count;
}

void cgroup_open_counts(struct cgroup *cgroup)
{
  for (unsigned what = 0; what < CGROUP_COUNTS; what++) {
    const struct count count = count_of(cgroup, (enum cgroup_count)what);
    if (count.place != NULL && cgroup->counts[what] < 0)
      cgroup->counts[what] = RETRY_INTR(openat(count.place->dir, count.file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  }
}

static uint64_t read_count(const struct cgroup *cgroup, enum cgroup_count what)
{
  char text[1024];
  const struct count count = count_of(cgroup, what);
  if (count.place == NULL)
    return 0;
  const int open_at = cgroup->counts[what];
  ssize_t length = open_at >= 0 ? RETRY_INTR(pread(open_at, text, sizeof text - 1, 0))
                                : fd_read_at(count.place->dir, count.file, text, sizeof text);
  if (length <= 0)
    return 0;
  text[length] = '\0';
  return count.key != NULL ? keyed(text, count.key) : strtoull(text, NULL, 10);
}

uint64_t cgroup_cpu_us(const struct cgroup *cgroup)
{
  const struct count count = count_of(cgroup, CGROUP_CPU);
  return read_count(cgroup, CGROUP_CPU) / (count.key == NULL ? 1000 : 1);
}

uint64_t cgroup_peak_bytes(const struct cgroup *cgroup)
{
  return read_count(cgroup, CGROUP_PEAK);
}

/* v1 counts where the killed process was; so does v2, and in all cgroups above. */
uint64_t cgroup_kills_in(int dir, uint32_t version)
{
  char text[1024];
  return fd_read_at(dir, kills_file(version), text, sizeof text) < 0 ? 0 : keyed(text, "oom_kill");
}

uint64_t cgroup_oom_kills(const struct cgroup *cgroup)
{
  const struct cgroup_place *place = place_with(cgroup, BERTH_CONTROLLER_MEMORY, false);
  const uint64_t kills = read_count(cgroup, CGROUP_KILLS);
  const uint64_t below = place == NULL || place->version == 1 ? 0 : exec_cgroup_kills(cgroup, place);
  return kills < below ? 0 : kills - below;
}
