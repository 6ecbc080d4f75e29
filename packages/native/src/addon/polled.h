// A descriptor that the loop of this thread waits for, and the JavaScript object that owns the wait. Each may end before the
// other: libuv needs its handle until the close callback, and an environment that ends closes it before it deletes objects.
#pragma once

#include <uv.h>

#include "callback.h"

// On the heap by itself, deleted by nobody but its close callback once it is open.
class Polled {
 public:
  Polled() = default;
  Polled(const Polled&) = delete;
  Polled& operator=(const Polled&) = delete;
  virtual ~Polled() = default;

  // Waits for nothing yet. False with a pending exception, and it is still the caller's. `owner` is null once it is closed.
  [[nodiscard]] bool open(Napi::Env env, int fd, const Napi::Function& callback, Polled** owner) {
    uv_loop_t* loop = nullptr;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok || uv_poll_init(loop, &handle_, fd) != 0) {
      Napi::Error::New(env, "this descriptor cannot be waited for").ThrowAsJavaScriptException();
      return false;
    }
    handle_.data = this;
    callback_ = Napi::Persistent(callback);
    // The loop of a worker thread ends with its environment, and waits for this.
    (void)napi_add_async_cleanup_hook(
        env, [](napi_async_cleanup_hook_handle, void* data) { static_cast<Polled*>(data)->close(); }, this, &hook_);
    owner_ = owner;
    *owner = this;
    return true;
  }

  // From any state; the second time it does nothing.
  void close() {
    if (closing_) return;
    closing_ = true;
    *owner_ = nullptr;
    callback_.Reset();
    (void)uv_poll_stop(&handle_);
    let_go();
    uv_close(reinterpret_cast<uv_handle_t*>(&handle_), [](uv_handle_t* handle) {
      const auto* closed = static_cast<Polled*>(handle->data);
      if (closed->hook_ != nullptr) (void)napi_remove_async_cleanup_hook(closed->hook_);
      delete closed;
    });
  }

  // The process may end while this waits.
  void let_end() { uv_unref(reinterpret_cast<uv_handle_t*>(&handle_)); }

 protected:
  [[nodiscard]] bool start(int events) { return uv_poll_start(&handle_, events, on_poll) == 0; }
  void stop() { (void)uv_poll_stop(&handle_); }
  [[nodiscard]] const Napi::FunctionReference& callback() const { return callback_; }

 private:
  virtual void on_event(int status) = 0;
  // When it waits no more: what belongs to it is to be gone before JavaScript goes on.
  virtual void let_go() {}

  static void on_poll(uv_poll_t* handle, int status, int) { static_cast<Polled*>(handle->data)->on_event(status); }

  uv_poll_t handle_ = {};
  Napi::FunctionReference callback_;
  Polled** owner_ = nullptr;
  bool closing_ = false;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

// A JavaScript object that owns a wait of this kind.
template <typename Self, typename Kind>
class PolledObject : public Napi::ObjectWrap<Self> {
 public:
  explicit PolledObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Self>(info) {}
  PolledObject(const PolledObject&) = delete;
  PolledObject& operator=(const PolledObject&) = delete;
  ~PolledObject() override {
    if (polled_ != nullptr) polled_->close();
  }

 protected:
  // Null once it is closed.
  [[nodiscard]] Kind* polled() const { return static_cast<Kind*>(polled_); }
  // Takes it; null, and an exception is pending, when it cannot be waited for.
  Kind* own(Napi::Env env, Kind* made, int fd, const Napi::Function& callback) {
    if (made->open(env, fd, callback, &polled_)) return made;
    delete made;
    return nullptr;
  }
  Napi::Value close_polled(Napi::Env env) {
    if (polled_ != nullptr) polled_->close();
    return env.Undefined();
  }

 private:
  Polled* polled_ = nullptr;
};
