/*
 * masked-sys ROOT: masks what is at ROOT as a container's /sys. In a mount namespace of its own; then executes its other
 * arguments in it.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "../../src/supervisor/fs.h"
#include "../../src/supervisor/mask.h"

int part_main(int argc, char **argv);

int part_main(int argc, char **argv)
{
  struct err err;
  struct mask mask = { .empty = -1 };
  if (argc < 3 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
    return 70;
  /* Of that very namespace: another's mounts cannot be copied. */
  mask.null = open("/dev/null", O_PATH | O_CLOEXEC);
  int root = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (mask_sys(&mask, root, &err) < 0)
    return printf("%s: %s\n", err.stage, err.detail), 1;
  mask_close(&mask);
  execv(argv[2], argv + 2);
  return 127;
}
