/*
 * Any text in a cgroup.procs: whoever is named stands there, and is neither nobody, which would be the caller itself, nor the
 * host's init.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../src/supervisor/cgroup.h"
#include "fuzz.h"
#define SCRATCH_IN "/dev/shm"
#include "scratch.h"

static int directory = -1;
static char text[8192];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  directory = scratch_directory();
  return 0;
}

static int look(pid_t pid, int argument)
{
  char word[16];
  must(argument == 7 && pid > 1);
  (void)snprintf(word, sizeof word, "%d", pid);
  must(strstr(text, word) != NULL);
  return pid == 4711 ? -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  /* Numbers should be as frequent as they are there. */
  static const char letters[] = "0123456789\n\n\n0000-7 ";
  if (size >= sizeof text)
    return 0;
  for (size_t i = 0; i < size; i++)
    text[i] = data[i] < 128 ? letters[data[i] % (sizeof letters - 1)] : (char)(data[i] | 0x80);
  text[size] = '\0';
  int file = openat(directory, "cgroup.procs", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  must(file >= 0 && write(file, text, size) == (ssize_t)size && close(file) == 0);
  int result = cgroup_each_process(directory, look, 7);
  must(result == 0 || (result == -1 && strstr(text, "4711") != NULL));
  return 0;
}
