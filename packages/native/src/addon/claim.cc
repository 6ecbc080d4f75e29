// Gives a supervisor on standby its container: its directory gets the container's name, and it gets the spec.
//
// The rename is the claim. It fails when there has ever been a container of that name, and whoever dies right after it
// leaves a directory without a status: one that never started anything. The spec is sent before, so that the supervisor
// wakes up and reads it meanwhile; a second byte says that the claim holds.
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cstring>

#include "failure.h"
#include "functions.h"
#include "sealed_spec.h"

namespace {

class ClaimWorker : public Napi::AsyncWorker {
 public:
  ClaimWorker(Napi::Env env, int root, std::string slot, std::string id, int socket, std::vector<uint8_t> spec,
              std::string note)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        root_(root),
        slot_(std::move(slot)),
        id_(std::move(id)),
        socket_(socket),
        spec_(std::move(spec)),
        note_(std::move(note)) {}

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    const UniqueFd spec = sealed_spec(spec_);
    if (!spec.valid())
      (void)failure_.fail("spec", "sealed memory file");
    else if (!send_spec(spec.get()))
      return;
    else if (renameat2(root_, slot_.c_str(), root_, id_.c_str(), RENAME_NOREPLACE) < 0)
      (void)failure_.fail("state.create", id_);
    else if (!write_note() || (send(socket_, "", 1, MSG_NOSIGNAL) != 1 && !gone()))
      give_back();
  }

  void OnOK() override { deferred_.Resolve(failure_.set() ? failure_.to_object(Env()) : Env().Undefined()); }

 private:
  bool write_note() {
    const std::string path = id_ + "/lock";
    const UniqueFd fd(openat(root_, path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid() || pwrite(fd.get(), note_.data(), note_.size(), 0) != static_cast<ssize_t>(note_.size()))
      return failure_.fail("state.create", path);
    return true;
  }

  // Nothing has run: an ordinary start finds nothing of that name.
  void give_back() { (void)renameat2(root_, id_.c_str(), root_, slot_.c_str(), RENAME_NOREPLACE); }

  bool send_spec(int spec) {
    char byte = 0;
    iovec part = {.iov_base = &byte, .iov_len = 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof spec)] = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof spec);
    memcpy(CMSG_DATA(rights), &spec, sizeof spec);
    return sendmsg(socket_, &message, MSG_NOSIGNAL) == 1 || gone();
  }

  bool gone() { return failure_.fail("supervisor.start", "the supervisor on standby is gone"); }

  Napi::Promise::Deferred deferred_;
  int root_;
  std::string slot_;
  std::string id_;
  int socket_;
  std::vector<uint8_t> spec_;
  std::string note_;
  Failure failure_;
};

}  // namespace

Napi::Value claim(const Napi::CallbackInfo& info) {
  const auto bytes = info[4].As<Napi::Uint8Array>();
  auto* worker = new ClaimWorker(info.Env(), info[0].As<Napi::Number>().Int32Value(),
                                 info[1].As<Napi::String>().Utf8Value(), info[2].As<Napi::String>().Utf8Value(),
                                 info[3].As<Napi::Number>().Int32Value(),
                                 std::vector<uint8_t>(bytes.Data(), bytes.Data() + bytes.ByteLength()),
                                 info[5].As<Napi::String>().Utf8Value());
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}
