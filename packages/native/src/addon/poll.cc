// Waits for events of a descriptor on the loop of this thread, without a thread of its own: for pressure triggers and
// cgroup event files (POLLPRI) and eventfds (POLLIN). One shot: after an event it waits no more until it is started
// again, so that a file whose event nobody has read yet does not spin. Does not keep the process alive.
#include <sys/eventfd.h>
#include <uv.h>

#include "callback.h"
#include "functions.h"

namespace {

// On the heap by itself: libuv needs the handle until its close callback, whatever became of the JavaScript object.
struct Waiter {
  uv_poll_t handle = {};
  Napi::FunctionReference callback;
  // Of the JavaScript object, which an environment that ends deletes after this.
  Waiter** owner = nullptr;
  int events = 0;
  bool closing = false;
  napi_async_cleanup_hook_handle hook = nullptr;
};

void on_closed(uv_handle_t* handle) {
  auto* waiter = static_cast<Waiter*>(handle->data);
  if (waiter->hook != nullptr) (void)napi_remove_async_cleanup_hook(waiter->hook);
  delete waiter;
}

void close_waiter(Waiter* waiter) {
  if (waiter->closing) return;
  waiter->closing = true;
  *waiter->owner = nullptr;
  waiter->callback.Reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&waiter->handle), on_closed);
}

// The loop of a worker thread ends with its environment, and waits for this.
void on_cleanup(napi_async_cleanup_hook_handle, void* data) { close_waiter(static_cast<Waiter*>(data)); }

void on_event(uv_poll_t* handle, int, int) {
  auto* waiter = static_cast<Waiter*>(handle->data);
  (void)uv_poll_stop(handle);
  const Napi::HandleScope scope(waiter->callback.Env());
  call_back(waiter->callback, {});
}

class Poller : public Napi::ObjectWrap<Poller> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Poller",
                       {InstanceMethod<&Poller::start>("start"), InstanceMethod<&Poller::close>("close")});
  }

  // (descriptor, true for POLLPRI, callback). The descriptor stays the caller's, who closes it after close().
  explicit Poller(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Poller>(info) {
    uv_loop_t* loop = nullptr;
    auto* waiter = new Waiter();
    if (napi_get_uv_event_loop(info.Env(), &loop) != napi_ok ||
        uv_poll_init(loop, &waiter->handle, info[0].As<Napi::Number>().Int32Value()) != 0) {
      delete waiter;
      Napi::Error::New(info.Env(), "this descriptor cannot be waited for").ThrowAsJavaScriptException();
      return;
    }
    waiter->handle.data = waiter;
    waiter->owner = &waiter_;
    waiter->events = info[1].As<Napi::Boolean>().Value() ? UV_PRIORITIZED : UV_READABLE;
    waiter->callback = Napi::Persistent(info[2].As<Napi::Function>());
    uv_unref(reinterpret_cast<uv_handle_t*>(&waiter->handle));
    (void)napi_add_async_cleanup_hook(info.Env(), on_cleanup, waiter, &waiter->hook);
    waiter_ = waiter;
  }
  ~Poller() override { stop(); }

 private:
  Napi::Value start(const Napi::CallbackInfo& info) {
    const bool started = waiter_ != nullptr && uv_poll_start(&waiter_->handle, waiter_->events, on_event) == 0;
    return Napi::Boolean::New(info.Env(), started);
  }
  Napi::Value close(const Napi::CallbackInfo& info) {
    stop();
    return info.Env().Undefined();
  }
  void stop() {
    if (waiter_ != nullptr) close_waiter(waiter_);
  }

  Waiter* waiter_ = nullptr;
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
