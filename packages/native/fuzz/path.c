/* Any name and any PATH: each candidate is "directory/name", in order, and none is cut short. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

static unsigned tried;
static const char *wanted;

static int tried_exec(const char *path, char *const *argv, char *const *envp)
{
  (void)argv;
  (void)envp;
  size_t length = strlen(path);
  size_t name = strlen(wanted);
  must(length < 4096 && length >= name && strcmp(path + length - name, wanted) == 0);
  must(strchr(wanted, '/') != NULL || path[length - name - 1] == '/');
  tried++;
  errno = (tried & 1) != 0 ? 2 : 13;
  return -1;
}

#define execve(path, argv, envp) tried_exec(path, argv, envp)
#include "../src/supervisor/payload.c"
#undef execve

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char name[512];
  static char path[8192];
  size_t split = size < 2 ? 0 : data[0] % (size < sizeof name ? size : sizeof name);
  if (split == 0)
    return 0;
  memcpy(name, data + 1, split - 1);
  name[split - 1] = '\0';
  size_t rest = size - split;
  if (rest > sizeof path - 6)
    rest = sizeof path - 6;
  memcpy(path, "PATH=", 5);
  memcpy(path + 5, data + split, rest);
  path[5 + rest] = '\0';
  char *argv[] = { name, NULL };
  char *envp[] = { path, NULL };
  wanted = name;
  tried = 0;
  errno = 0;
  payload_exec(argv, envp);
  must(errno != 0);
  return 0;
}
