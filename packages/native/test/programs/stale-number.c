/*
 * stale-number CGROUP OWNER STRANGER: splits a container's v2 cgroup, whose listing also names a process that is elsewhere: as
 * when one that was listed has ended and another has its number by now.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../src/supervisor/cgroup.h"

static int listed(int dir, with_process *work, int argument);

#define cgroup_each_process(dir, work, argument) listed(dir, work, argument)
#include "../../src/supervisor/exec_cgroup.c"
#undef cgroup_each_process

static pid_t stranger;

static int listed(int dir, with_process *work, int argument)
{
  return work(stranger, argument) < 0 ? -1 : cgroup_each_process(dir, work, argument);
}

int part_main(int argc, char **argv);

int part_main(int argc, char **argv)
{
  struct cgroup cgroup;
  struct err err;
  if (argc < 4)
    return 64;
  cgroup_init(&cgroup);
  cgroup.count = 1;
  cgroup.places[0].version = 2;
  cgroup.places[0].dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  self.id_base = (uint32_t)strtoul(argv[2], NULL, 10);
  stranger = (pid_t)strtol(argv[3], NULL, 10);
  if (split(&cgroup, &cgroup.places[0], false, &err) == 0)
    return 0;
  (void)printf("%s: %s\n", err.stage, err.detail);
  return 1;
}
