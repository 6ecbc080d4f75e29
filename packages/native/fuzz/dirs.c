/*
 * Any path, made inside of a directory that holds symbolic links out of it: whatever fd_make_dirs returns lies inside,
 * and nothing appears outside.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../src/supervisor/fd.h"
#include "fuzz.h"
#define SCRATCH_IN "/dev/shm"
#include "scratch.h"

static int outside = -1;
static int inside = -1;
static nlink_t links;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  struct stat info;
  outside = scratch_directory();
  must(outside >= 0 && mkdirat(outside, "in", 0755) == 0);
  inside = openat(outside, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  must(inside >= 0 && symlinkat("..", inside, "u") == 0 && symlinkat("/", inside, "r") == 0);
  must(symlinkat("../../..", inside, "w") == 0 && symlinkat("l", inside, "l") == 0);
  must(symlinkat("r/u/x", inside, "c") == 0 && fstat(outside, &info) == 0);
  links = info.st_nlink;
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  /* Few letters: paths should meet each other and the links. */
  static const char letters[] = "/././urwlcab\0";
  char path[64];
  char where[256];
  char proc[64];
  if (size >= sizeof path)
    return 0;
  for (size_t i = 0; i < size; i++)
    path[i] = data[i] < 128 ? letters[data[i] % (sizeof letters - 1)] : (char)data[i];
  path[size] = '\0';
  int fd = fd_make_dirs(inside, path);
  if (fd >= 0) {
    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(proc, where, sizeof where - 1);
    must(length > 0);
    where[length] = '\0';
    size_t prefix = strlen(scratch);
    must(strncmp(where, scratch, prefix) == 0 && strncmp(where + prefix, "/in", 3) == 0);
    must(where[prefix + 3] == '\0' || where[prefix + 3] == '/');
    must(close(fd) == 0);
  }
  struct stat info;
  must(fstat(outside, &info) == 0 && info.st_nlink == links);
  return 0;
}
