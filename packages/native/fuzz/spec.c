/*
 * Any bytes as a spec, through the very code of `--check-spec`: whatever is accepted is also read to its last string.
 * The mutator repairs magic, version and size, or hardly any input would get past them.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

static const uint8_t *input;
static size_t left;

static ssize_t next_input(void *buffer, size_t size)
{
  size_t taken = left < size ? left : size;
  memcpy(buffer, input, taken);
  input += taken;
  left -= taken;
  return (ssize_t)taken;
}

#define read(fd, buffer, size) next_input(buffer, size)
#include "../src/supervisor/check.c"
#undef read

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  return freopen("/dev/null", "w", stdout) == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  input = data;
  left = size;
  int code = check_spec_main();
  must(code == 0 || code == 65);
  return 0;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
  struct berth_spec header;
  size = LLVMFuzzerMutate(data, size, max_size);
  if (size < sizeof header || seed % 16 == 0)
    return size;
  memcpy(&header, data, sizeof header);
  header.magic = BERTH_SPEC_MAGIC;
  header.version = BERTH_SPEC_VERSION;
  header.size = (uint32_t)size;
  memcpy(data, &header, sizeof header);
  return size;
}
