// The program that will stand inside containers as PID 1 runs from a sealed memory file: no write can reach it, not
// even by the way of /proc/PID/exe (CVE-2019-5736), and replacing the file on disk changes no running supervisor.
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "failure.h"
#include "functions.h"
#include "unique_fd.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace {

// Above every number that the child will use for its own descriptors.
constexpr int kAboveChildFds = 16;

UniqueFd open_image(const std::string& path, Failure& failure) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info = {};
  if (!file.valid() || fstat(file.get(), &info) < 0) {
    failure.fail("supervisor.image", path);
    return {};
  }
  // Linux 6.3 wants to be told that a memory file will be executed; older kernels do not know the flag.
  UniqueFd image(memfd_create("berth-supervisor", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
  if (!image.valid() && errno == EINVAL) image.reset(memfd_create("berth-supervisor", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!image.valid()) {
    failure.fail("supervisor.image", "memfd_create");
    return {};
  }
  for (off_t left = info.st_size; left > 0;) {
    const ssize_t copied = sendfile(image.get(), file.get(), nullptr, static_cast<size_t>(left));
    if (copied <= 0) {
      failure.fail("supervisor.image", "copy " + path);
      return {};
    }
    left -= copied;
  }
  if (fcntl(image.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
    failure.fail("supervisor.image", "seal");
    return {};
  }
  UniqueFd high(fcntl(image.get(), F_DUPFD_CLOEXEC, kAboveChildFds));
  if (!high.valid()) failure.fail("supervisor.image", "duplicate");
  return high;
}

}  // namespace

Napi::Value image_open(const Napi::CallbackInfo& info) {
  Failure failure;
  UniqueFd image = open_image(info[0].As<Napi::String>().Utf8Value(), failure);
  if (failure.set()) return failure.to_object(info.Env());
  return Napi::Number::New(info.Env(), image.release());
}
