// One conversation with rtnetlink(7), in our network namespace or another: sends what it is given, returns the answers as
// they came. Built and understood by lib/network; here are only the socket and its bounds.
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstring>
#include <utility>
#include <vector>

#include "failure.h"
#include "functions.h"
#include "unique_fd.h"

namespace {

constexpr size_t kMaxAnswer = size_t{64} * 1024 * 1024;
constexpr size_t kDatagram = size_t{64} * 1024;
constexpr int kTimeoutSeconds = 10;

UniqueFd open_here() { return UniqueFd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)); }

struct Visit {
  int netns;
  UniqueFd fd;
  int error;
};

void* visit(void* argument) {
  auto* there = static_cast<Visit*>(argument);
  if (setns(there->netns, CLONE_NEWNET) == 0) there->fd = open_here();
  if (!there->fd.valid()) there->error = errno;
  return nullptr;
}

// A socket stays in the namespace that it was made in. The thread that goes there never comes back. Not std::thread: where
// no more threads can be had it throws, and what throws here ends the agent.
UniqueFd open_in(int netns) {
  Visit there = {.netns = netns, .fd = UniqueFd(), .error = 0};
  pthread_t thread = {};
  const int refused = pthread_create(&thread, nullptr, visit, &there);
  if (refused == 0) (void)pthread_join(thread, nullptr);
  errno = refused == 0 ? there.error : refused;
  return std::move(there.fd);
}

class NetlinkWorker : public Napi::AsyncWorker {
 public:
  NetlinkWorker(Napi::Env env, int netns, std::vector<uint8_t> request)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        netns_(netns),
        request_(std::move(request)) {}

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    UniqueFd fd = netns_ < 0 ? open_here() : open_in(netns_);
    if (!fd.valid()) {
      (void)failure_.fail("net", "open rtnetlink");
      return;
    }
    const int on = 1;
    const timeval patience = {.tv_sec = kTimeoutSeconds, .tv_usec = 0};
    (void)setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    (void)setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_nl kernel = {};
    kernel.nl_family = AF_NETLINK;
    if (sendto(fd.get(), request_.data(), request_.size(), 0, reinterpret_cast<const sockaddr*>(&kernel),
               sizeof kernel) < 0) {
      (void)failure_.fail("net", "send to rtnetlink");
      return;
    }
    (void)receive(fd.get());
  }

  void OnOK() override {
    const Napi::Env env = Env();
    if (failure_.set())
      deferred_.Resolve(failure_.to_object(env));
    else
      deferred_.Resolve(Napi::Buffer<uint8_t>::Copy(env, answer_.data(), answer_.size()));
  }

 private:
  // Each request is answered by an NLMSG_ERROR, which may say that there was none, or by a list that ends in NLMSG_DONE.
  [[nodiscard]] size_t requests() const {
    size_t count = 0;
    for (size_t at = 0; at + sizeof(nlmsghdr) <= request_.size(); count++) {
      nlmsghdr header = {};
      memcpy(&header, request_.data() + at, sizeof header);
      if (header.nlmsg_len < sizeof header) break;
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
    return count;
  }

  bool receive(int fd) {
    std::vector<uint8_t> datagram(kDatagram);
    for (size_t left = requests(); left > 0;) {
      const ssize_t length = recv(fd, datagram.data(), datagram.size(), 0);
      if (length < 0 && errno == EINTR) continue;
      if (length < 0) return failure_.fail("net", "read from rtnetlink");
      if (answer_.size() + static_cast<size_t>(length) > kMaxAnswer) {
        errno = EMSGSIZE;
        return failure_.fail("net", "rtnetlink does not end");
      }
      answer_.insert(answer_.end(), datagram.begin(), datagram.begin() + length);
      for (size_t at = 0; at + sizeof(nlmsghdr) <= static_cast<size_t>(length);) {
        nlmsghdr header = {};
        memcpy(&header, datagram.data() + at, sizeof header);
        if (header.nlmsg_len < sizeof header) break;
        if ((header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) && left > 0) left--;
        at += NLMSG_ALIGN(header.nlmsg_len);
      }
    }
    return true;
  }

  Napi::Promise::Deferred deferred_;
  int netns_;
  std::vector<uint8_t> request_;
  std::vector<uint8_t> answer_;
  Failure failure_;
};

}  // namespace

Napi::Value netlink(const Napi::CallbackInfo& info) {
  const auto bytes = info[1].As<Napi::Uint8Array>();
  auto* worker = new NetlinkWorker(info.Env(), info[0].As<Napi::Number>().Int32Value(),
                                   std::vector<uint8_t>(bytes.Data(), bytes.Data() + bytes.ByteLength()));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}
