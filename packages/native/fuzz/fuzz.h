/* What every fuzz target shares: the entry, and a claim whose failure is a finding. */
#ifndef BERTH_FUZZ_H
#define BERTH_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(claim)       \
  do {                    \
    if (!(claim))         \
      __builtin_trap();   \
  } while (0)

#endif
