// A spec as the supervisor takes it: a memory file that nobody can change any more.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>

#include <cstdint>
#include <vector>

#include "unique_fd.h"

inline UniqueFd sealed_spec(const std::vector<uint8_t>& bytes) {
  UniqueFd fd(memfd_create("berth-spec", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return {};
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t written = write(fd.get(), bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno != EINTR) return {};
    if (written > 0) done += static_cast<size_t>(written);
  }
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) return {};
  return fd;
}
