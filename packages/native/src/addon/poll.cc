// Waits for events of a descriptor on the loop of this thread, without a thread of its own: for pressure triggers and
// cgroup event files (POLLPRI) and eventfds (POLLIN). One shot: after an event it waits no more until it is started
// again, so that a file whose event nobody has read yet does not spin. Does not keep the process alive.
#include <sys/eventfd.h>

#include "functions.h"
#include "polled.h"

namespace {

class Waiter : public Polled {
 public:
  explicit Waiter(int events) : events_(events) {}

  [[nodiscard]] bool wait() { return start(events_); }

 private:
  void on_event(int) override {
    stop();
    const Napi::HandleScope scope(callback().Env());
    call_back(callback(), {});
  }

  int events_;
};

class Poller : public PolledObject<Poller, Waiter> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Poller",
                       {InstanceMethod<&Poller::start>("start"), InstanceMethod<&Poller::close>("close")});
  }

  // (descriptor, true for POLLPRI, callback). The descriptor stays the caller's, who closes it after close().
  explicit Poller(const Napi::CallbackInfo& info) : PolledObject(info) {
    auto* made = new Waiter(info[1].As<Napi::Boolean>().Value() ? UV_PRIORITIZED : UV_READABLE);
    Waiter* waiter =
        own(info.Env(), made, info[0].As<Napi::Number>().Int32Value(), info[2].As<Napi::Function>());
    if (waiter != nullptr) waiter->let_end();
  }

 private:
  Napi::Value start(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), polled() != nullptr && polled()->wait());
  }
  Napi::Value close(const Napi::CallbackInfo& info) { return close_polled(info.Env()); }
};

}  // namespace

Napi::Function poller(Napi::Env env) { return Poller::define(env); }

Napi::Value event_fd(const Napi::CallbackInfo& info) {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return Napi::Number::New(info.Env(), fd < 0 ? -errno : fd);
}

Napi::Value drain(const Napi::CallbackInfo& info) {
  eventfd_t count = 0;
  (void)eventfd_read(info[0].As<Napi::Number>().Int32Value(), &count);
  return info.Env().Undefined();
}
