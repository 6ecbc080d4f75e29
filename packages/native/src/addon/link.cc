// A connection to a supervisor, on the loop of this thread: what arrives is told as it comes, and what is sent is so short
// that it either fits or does not. Keeps the process alive for as long as it is open.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#include <cstdio>

#include "callback.h"
#include "functions.h"
#include "unique_fd.h"

namespace {

// Every reply fits, and several of the usual ones.
constexpr size_t kReadBytes = 16384;

// On the heap by itself: libuv needs the handle until its close callback, whatever became of the JavaScript object.
struct Peer {
  uv_poll_t handle = {};
  UniqueFd fd;
  Napi::FunctionReference callback;
  // Of the JavaScript object, which an environment that ends deletes after this.
  Peer** owner = nullptr;
  bool closing = false;
  napi_async_cleanup_hook_handle hook = nullptr;
};

void on_peer_closed(uv_handle_t* handle) {
  auto* peer = static_cast<Peer*>(handle->data);
  if (peer->hook != nullptr) (void)napi_remove_async_cleanup_hook(peer->hook);
  delete peer;
}

// The other side learns of it at once.
void close_peer(Peer* peer) {
  if (peer->closing) return;
  peer->closing = true;
  *peer->owner = nullptr;
  peer->callback.Reset();
  (void)uv_poll_stop(&peer->handle);
  peer->fd.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&peer->handle), on_peer_closed);
}

// The loop of a worker thread ends with its environment, and waits for this.
void on_peer_cleanup(napi_async_cleanup_hook_handle, void* data) { close_peer(static_cast<Peer*>(data)); }

// One piece at a time: the loop comes back for what is left. After an error it does not by itself, and one is what it
// makes of a supervisor that ended with a request unread: what that one sent before is still to be read, and then the end.
void on_readable(uv_poll_t* handle, int status, int) {
  auto* peer = static_cast<Peer*>(handle->data);
  char bytes[kReadBytes];
  const ssize_t size = recv(peer->fd.get(), bytes, sizeof bytes, MSG_DONTWAIT);
  const bool is_empty = size < 0 && (errno == EAGAIN || errno == EINTR);
  if (size > 0 || is_empty) {
    if (status < 0) (void)uv_poll_start(handle, UV_READABLE, on_readable);
  } else {
    // Nothing more will come; the descriptor stays until close().
    (void)uv_poll_stop(handle);
  }
  if (is_empty) return;
  const Napi::Env env = peer->callback.Env();
  const Napi::HandleScope scope(env);
  if (size > 0)
    call_back(peer->callback, {Napi::Buffer<char>::Copy(env, bytes, static_cast<size_t>(size))});
  else
    call_back(peer->callback, {env.Null()});
}

class Link : public Napi::ObjectWrap<Link> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Link", {InstanceMethod<&Link::send>("send"), InstanceMethod<&Link::close>("close")});
  }

  // (connected socket, which is the link's from now on, callback).
  explicit Link(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Link>(info) {
    uv_loop_t* loop = nullptr;
    auto* peer = new Peer();
    peer->fd.reset(info[0].As<Napi::Number>().Int32Value());
    if (napi_get_uv_event_loop(info.Env(), &loop) != napi_ok ||
        uv_poll_init(loop, &peer->handle, peer->fd.get()) != 0) {
      delete peer;
      Napi::Error::New(info.Env(), "this descriptor cannot be waited for").ThrowAsJavaScriptException();
      return;
    }
    peer->handle.data = peer;
    peer->owner = &peer_;
    peer->callback = Napi::Persistent(info[1].As<Napi::Function>());
    (void)napi_add_async_cleanup_hook(info.Env(), on_peer_cleanup, peer, &peer->hook);
    (void)uv_poll_start(&peer->handle, UV_READABLE, on_readable);
    peer_ = peer;
  }
  ~Link() override { stop(); }

 private:
  // 0, or an errno; then nothing of it was sent.
  Napi::Value send(const Napi::CallbackInfo& info) {
    const auto bytes = info[0].As<Napi::Uint8Array>();
    int error = ENOTCONN;
    if (peer_ != nullptr) {
      const ssize_t sent = ::send(peer_->fd.get(), bytes.Data(), bytes.ByteLength(), MSG_NOSIGNAL | MSG_DONTWAIT);
      error = sent < 0 ? errno : static_cast<size_t>(sent) == bytes.ByteLength() ? 0 : EPIPE;
    }
    return Napi::Number::New(info.Env(), error);
  }
  Napi::Value close(const Napi::CallbackInfo& info) {
    stop();
    return info.Env().Undefined();
  }
  void stop() {
    if (peer_ != nullptr) close_peer(peer_);
  }

  Peer* peer_ = nullptr;
};

}  // namespace

Napi::Function link_class(Napi::Env env) { return Link::define(env); }

Napi::Value dial(const Napi::CallbackInfo& info) {
  const std::string id = info[1].As<Napi::String>().Utf8Value();
  const UniqueFd dir(openat(info[0].As<Napi::Number>().Int32Value(), id.c_str(),
                            O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  UniqueFd fd(dir.valid() ? socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1);
  // Through a descriptor: a socket's address holds 108 bytes only.
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control.sock", dir.get());
  if (!fd.valid() || connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
    return Napi::Number::New(info.Env(), -errno);
  return Napi::Number::New(info.Env(), fd.release());
}
