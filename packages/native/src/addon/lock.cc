// The lock of a state directory: held by a supervisor for as long as it lives, and by whoever cleans up after it.
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>

#include <algorithm>

#include "functions.h"
#include "lock.h"
#include "unique_fd.h"

namespace {

// A descriptor, or -errno.
int take(int root, const std::string& id) {
  const std::string path = id + "/lock";
  UniqueFd fd(openat(root, path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid() || flock(fd.get(), LOCK_EX | LOCK_NB) < 0) return -errno;
  return fd.release();
}

class LockWorker : public Napi::AsyncWorker {
 public:
  LockWorker(Napi::Env env, int root, std::string id, int64_t patience_us)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        root_(root),
        id_(std::move(id)),
        patience_us_(patience_us) {}

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override { result_ = take_soon(root_, id_, patience_us_); }

  void OnOK() override { deferred_.Resolve(Napi::Number::New(Env(), result_)); }

 private:
  Napi::Promise::Deferred deferred_;
  int root_;
  std::string id_;
  int64_t patience_us_;
  int result_ = -1;
};

}  // namespace

int64_t now_us() {
  timespec now = {};
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

int take_soon(int root, const std::string& id, int64_t patience_us) {
  const int64_t deadline = now_us() + patience_us;
  long pause_us = 100;
  for (;;) {
    const int result = take(root, id);
    if (result != -EWOULDBLOCK || now_us() >= deadline) return result;
    const timespec pause = {.tv_sec = 0, .tv_nsec = pause_us * 1000};
    (void)nanosleep(&pause, nullptr);
    pause_us = std::min(pause_us * 2, 20'000L);
  }
}

Napi::Value lock(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), take(info[0].As<Napi::Number>().Int32Value(),
                                            info[1].As<Napi::String>().Utf8Value()));
}

Napi::Value lock_soon(const Napi::CallbackInfo& info) {
  auto* worker = new LockWorker(info.Env(), info[0].As<Napi::Number>().Int32Value(),
                                info[1].As<Napi::String>().Utf8Value(),
                                int64_t{info[2].As<Napi::Number>().Int32Value()} * 1000);
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}
