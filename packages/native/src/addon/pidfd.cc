// One process, also when its number has become another's: pidfd_open(2).
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "functions.h"

Napi::Value pidfd_open(const Napi::CallbackInfo& info) {
  const long pidfd = syscall(SYS_pidfd_open, info[0].As<Napi::Number>().Int32Value(), 0);
  return Napi::Number::New(info.Env(), pidfd < 0 ? -errno : static_cast<int>(pidfd));
}

Napi::Value pidfd_kill(const Napi::CallbackInfo& info) {
  const int pidfd = info[0].As<Napi::Number>().Int32Value();
  return Napi::Number::New(info.Env(), syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0) < 0 ? -errno : 0);
}
