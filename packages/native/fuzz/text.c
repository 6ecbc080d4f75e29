/* Our formatter against the one of libc, on the conversions that it knows. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../src/supervisor/text.h"
#include "fuzz.h"

static void same(const char *ours, size_t length, const char *theirs)
{
  must(strcmp(ours, theirs) == 0 && length == strlen(ours));
}

#define compare(format, ...)                                                  \
  do {                                                                        \
    char ours[96], theirs[96];                                                \
    size_t room_ = 1 + data[0] % sizeof ours;                                 \
    size_t length_ = text_format(ours, room_, format, __VA_ARGS__);           \
    (void)snprintf(theirs, room_, format, __VA_ARGS__);                       \
    same(ours, length_, theirs);                                              \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char string[64];
  uint64_t wide;
  int narrow;
  if (size < 1 + sizeof wide + sizeof narrow)
    return 0;
  memcpy(&wide, data + 1, sizeof wide);
  memcpy(&narrow, data + 1 + sizeof wide, sizeof narrow);
  size_t length = size - 1 - sizeof wide - sizeof narrow;
  if (length >= sizeof string)
    length = sizeof string - 1;
  memcpy(string, data + 1 + sizeof wide + sizeof narrow, length);
  string[length] = '\0';
  compare("%s: \"%.10s\" %d", string, string, narrow);
  compare("%.*s|%5s|%u%%", (int)(data[0] % 20), string, string, (unsigned)narrow);
  compare("%08x %x %o %3d %04d", (unsigned)narrow, (unsigned)narrow, (unsigned)narrow, narrow, narrow);
  compare("%zu %" PRIu64 " %" PRId64 " %llx %lld %c", (size_t)wide, wide, (int64_t)wide, (unsigned long long)wide,
          (long long)wide, 'c');
  return 0;
}
