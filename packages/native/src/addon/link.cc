// A connection to a supervisor, on the loop of this thread: what arrives is told as it comes, and what is sent is so short
// that it either fits or does not. Keeps the process alive for as long as it is open.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdio>

#include "functions.h"
#include "polled.h"
#include "unique_fd.h"

namespace {

// Every reply fits, and several of the usual ones.
constexpr size_t kReadBytes = 16384;

class Peer : public Polled {
 public:
  explicit Peer(int fd) : fd_(fd) {}

  [[nodiscard]] int fd() const { return fd_.get(); }
  void listen() { (void)start(UV_READABLE); }

 private:
  // One piece at a time: the loop comes back for what is left. After an error it does not by itself, and one is what it
  // makes of a supervisor that ended with a request unread: what that one sent before is still to be read, and then the end.
  void on_event(int status) override {
    char bytes[kReadBytes];
    const ssize_t size = recv(fd_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    const bool is_empty = size < 0 && (errno == EAGAIN || errno == EINTR);
    if (size > 0 || is_empty) {
      if (status < 0) listen();
    } else {
      // Nothing more will come; the descriptor stays until close().
      stop();
    }
    if (is_empty) return;
    const Napi::Env env = callback().Env();
    const Napi::HandleScope scope(env);
    if (size > 0)
      call_back(callback(), {Napi::Buffer<char>::Copy(env, bytes, static_cast<size_t>(size))});
    else
      call_back(callback(), {env.Null()});
  }
  // The other side learns of it at once.
  void let_go() override { fd_.reset(); }

  UniqueFd fd_;
};

class Link : public PolledObject<Link, Peer> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Link", {InstanceMethod<&Link::send>("send"), InstanceMethod<&Link::close>("close")});
  }

  // (connected socket, which is the link's from now on, callback).
  explicit Link(const Napi::CallbackInfo& info) : PolledObject(info) {
    const int fd = info[0].As<Napi::Number>().Int32Value();
    Peer* peer = own(info.Env(), new Peer(fd), fd, info[1].As<Napi::Function>());
    if (peer != nullptr) peer->listen();
  }

 private:
  // 0, or an errno; then nothing of it was sent.
  Napi::Value send(const Napi::CallbackInfo& info) {
    const auto bytes = info[0].As<Napi::Uint8Array>();
    int error = ENOTCONN;
    if (polled() != nullptr) {
      const ssize_t sent = ::send(polled()->fd(), bytes.Data(), bytes.ByteLength(), MSG_NOSIGNAL | MSG_DONTWAIT);
      error = sent < 0 ? errno : static_cast<size_t>(sent) == bytes.ByteLength() ? 0 : EPIPE;
    }
    return Napi::Number::New(info.Env(), error);
  }
  Napi::Value close(const Napi::CallbackInfo& info) { return close_polled(info.Env()); }
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
