/* The entries of a directory, in bytewise order: whoever reads a tree twice sees it in the same order. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unpack.h"

static int by_name(const void *left, const void *right)
{
  return strcmp(*(char *const *)left, *(char *const *)right);
}

void names_sort(char **names, size_t count)
{
  if (count > 0)
    qsort(names, count, sizeof *names, by_name);
}

void names_free(char **names, size_t count)
{
  for (size_t i = 0; i < count; i++)
    free(names[i]);
  free(names);
}

int names_read(DIR *stream, char ***names, size_t *count)
{
  size_t room = 0;
  struct dirent *entry;
  *names = NULL;
  *count = 0;
  for (errno = 0; (entry = readdir(stream)) != NULL; errno = 0) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    if (*count == room) {
      room = room == 0 ? 64 : room * 2;
      char **more = reallocarray(*names, room, sizeof *more);
      if (more == NULL)
        return -1;
      *names = more;
    }
    char *copy = strdup(entry->d_name);
    if (copy == NULL)
      return -1;
    (*names)[(*count)++] = copy;
  }
  if (errno != 0)
    return -1;
  names_sort(*names, *count);
  return 0;
}
