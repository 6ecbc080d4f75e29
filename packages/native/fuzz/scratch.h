/* A directory that is gone when the target ends. */
#ifndef BERTH_FUZZ_SCRATCH_H
#define BERTH_FUZZ_SCRATCH_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

/* Whoever makes thousands of files wants them in memory. */
#ifndef SCRATCH_IN
#define SCRATCH_IN "/tmp"
#endif

static char scratch[] = SCRATCH_IN "/berth-fuzz-XXXXXX";

static void scratch_remove(void)
{
  char command[128];
  (void)snprintf(command, sizeof command, "rm -rf %s", scratch);
  must(system(command) == 0);
}

/* An open one. To be called once. */
static int scratch_directory(void)
{
  must(mkdtemp(scratch) != NULL && atexit(scratch_remove) == 0);
  int directory = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  must(directory >= 0);
  return directory;
}

#endif
