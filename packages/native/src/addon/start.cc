// Starts one supervisor. The lock of the state directory is taken here, before the process exists, and the supervisor
// inherits that very open file description: at every instant it is held exactly when a supervisor lives or is about to.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <ctime>
#include <iterator>
#include <vector>

#include "../../include/control.h"
#include "../../include/spec.h"
#include "child.h"
#include "exists.h"
#include "failure.h"
#include "functions.h"
#include "sealed_spec.h"
#include "strings.h"
#include "unique_fd.h"

namespace {

// A child that is about to execute holds copies of all our descriptors, locks included, for a moment.
bool lock_soon(int fd) {
  for (int attempt = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; attempt++) {
    if (errno != EWOULDBLOCK || attempt == 20) return false;
    const timespec pause = {.tv_sec = 0, .tv_nsec = 5'000'000};
    (void)nanosleep(&pause, nullptr);
  }
  return true;
}

class StartWorker : public Napi::AsyncWorker {
 public:
  // Without a spec: a supervisor on standby, in a directory that is called `id` until it is claimed, which makes a v1
  // cgroup in each of `parents`.
  StartWorker(Napi::Env env, int image, int root, std::string id, std::vector<uint8_t> spec, std::string note,
              const std::vector<int>& joins, std::vector<std::string> parents)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        image_(image),
        root_(root),
        id_(std::move(id)),
        spec_(std::move(spec)),
        note_(std::move(note)),
        parents_(std::move(parents)) {
    for (const int fd : joins) {
      // Now: its owner may close it as soon as this call returns.
      joins_.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, kAboveChildFds));
      if (!joins_.back().valid()) join_error_ = errno;
    }
  }

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    if (claim() && launch()) return;
    const int saved = errno;
    undo();
    errno = saved;
  }

  void OnOK() override {
    const Napi::Env env = Env();
    if (failure_.set()) {
      deferred_.Resolve(failure_.to_object(env));
      return;
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("pid", pid_);
    result.Set("socket", socket_.release());
    deferred_.Resolve(result);
  }

 private:
  // Nothing has run, so nothing of it shall stay. Not without the lock: it would be somebody else's.
  void undo() {
    if (ours_ && lock_.valid()) (void)unlinkat(root_, (id_ + "/lock").c_str(), 0);
    if (made_ || (ours_ && lock_.valid())) (void)unlinkat(root_, id_.c_str(), AT_REMOVEDIR);
  }

  // The directory is ours alone, and nothing has ever run in it.
  bool claim() {
    made_ = mkdirat(root_, id_.c_str(), 0700) == 0;
    if (!made_ && errno != EEXIST) return failure_.fail("state.create", id_);
    dir_.reset(openat(root_, id_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir_.valid()) return failure_.fail("state.create", id_);
    lock_.reset(openat(dir_.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!lock_.valid()) return failure_.fail("state.lock", id_);
    if (!lock_soon(lock_.get())) {
      if (errno == EWOULDBLOCK) errno = EBUSY;
      return failure_.fail("state.lock", "a supervisor of " + id_ + " is running");
    }
    struct stat info = {};
    if (fstat(lock_.get(), &info) < 0 || info.st_nlink == 0) {
      errno = EAGAIN;
      return failure_.fail("state.lock", id_ + " is being removed");
    }
    if (exists(dir_.get(), "status") || exists(dir_.get(), "exit")) {
      errno = EEXIST;
      return failure_.fail("state.create", id_ + " was started before");
    }
    ours_ = true;
    // Before anything runs, and in a file that exists anyway: whoever finds the container knows what it was given.
    // A file that was cut to nothing, even an empty one, is written to the disk as soon as it is closed (ext4,
    // auto_da_alloc); this one is usually deleted before that is due.
    if ((info.st_size > 0 && ftruncate(lock_.get(), 0) < 0) ||
        pwrite(lock_.get(), note_.data(), note_.size(), 0) != static_cast<ssize_t>(note_.size()))
      return failure_.fail("state.create", id_ + "/lock");
    return true;
  }

  bool launch() {
    if (join_error_ != 0) {
      errno = join_error_;
      return failure_.fail("namespaces", "the descriptor of a namespace is not open");
    }
    const bool on_standby = spec_.empty();
    UniqueFd spec = on_standby ? UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)) : sealed_spec(spec_);
    if (!spec.valid()) return failure_.fail("spec", "sealed memory file");
    UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    int pair[2];
    if (!null.valid() || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
      return failure_.fail("supervisor.start", "socketpair");
    UniqueFd ours(pair[0]);
    UniqueFd theirs(pair[1]);
    if (!lift(spec) || !lift(dir_) || !lift(lock_) || !lift(theirs) || !lift(null))
      return failure_.fail("supervisor.start", "duplicate descriptors");

    std::vector<std::string> words = {"berth-supervisor", id_};
    if (on_standby) {
      words[1] = "--standby";
      words[1].resize(BERTH_STANDBY_WORD, ' ');
    }
    if (!joins_.empty()) words.push_back(std::to_string(joins_.size()));
    words.insert(words.end(), parents_.begin(), parents_.end());
    std::vector<char*> argv;
    std::transform(words.begin(), words.end(), std::back_inserter(argv), [](std::string& one) { return one.data(); });
    argv.push_back(nullptr);
    char* const envp[] = {nullptr};
    static_assert(BERTH_FD_SPEC == 3 && BERTH_FD_STATE == 4 && BERTH_FD_LOCK == 5 && BERTH_FD_FIRST_CLIENT == 6);
    std::vector<int> fds = {null.get(), null.get(), null.get(), spec.get(), dir_.get(), lock_.get(), theirs.get()};
    std::transform(joins_.begin(), joins_.end(), std::back_inserter(fds), [](const UniqueFd& fd) { return fd.get(); });
    ChildPlan plan = {.dir = image_,
                      .path = "",
                      .flags = AT_EMPTY_PATH,
                      .fds = fds.data(),
                      .fd_count = static_cast<int>(fds.size()),
                      .clean = false,  // a supervisor sees to it itself
                      .argv = argv.data(),
                      .envp = envp,
                      .error = 0};
    const int pid = start_child(plan);
    if (pid < 0) return failure_.fail("supervisor.start", plan.error == 0 ? "clone" : "execute the supervisor");
    pid_ = pid;
    socket_ = std::move(ours);
    dir_.reset();
    lock_.reset();
    return true;
  }

  Napi::Promise::Deferred deferred_;
  int image_;
  int root_;
  std::string id_;
  std::vector<uint8_t> spec_;
  std::string note_;
  std::vector<std::string> parents_;
  std::vector<UniqueFd> joins_;
  int join_error_ = 0;
  bool made_ = false;  // the state directory
  bool ours_ = false;  // the lock, and nothing ever ran
  Failure failure_;
  UniqueFd dir_;
  UniqueFd lock_;
  UniqueFd socket_;
  int pid_ = -1;
};

}  // namespace

Napi::Value start(const Napi::CallbackInfo& info) {
  const auto bytes = info[3].As<Napi::Uint8Array>();
  std::vector<int> joins;
  const auto fds = info[5].As<Napi::Array>();
  for (uint32_t i = 0; i < fds.Length() && i < BERTH_MAX_JOINS; i++)
    joins.push_back(fds.Get(i).As<Napi::Number>().Int32Value());
  auto* worker = new StartWorker(info.Env(), info[0].As<Napi::Number>().Int32Value(),
                                 info[1].As<Napi::Number>().Int32Value(), info[2].As<Napi::String>().Utf8Value(),
                                 std::vector<uint8_t>(bytes.Data(), bytes.Data() + bytes.ByteLength()),
                                 info[4].As<Napi::String>().Utf8Value(), joins, {});
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value standby(const Napi::CallbackInfo& info) {
  auto* worker =
      new StartWorker(info.Env(), info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::Number>().Int32Value(),
                      info[2].As<Napi::String>().Utf8Value(), {}, {}, {}, strings_of(info[3].As<Napi::Array>()));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value reap(const Napi::CallbackInfo& info) {
  const pid_t pid = info[0].As<Napi::Number>().Int32Value();
  const pid_t gone = waitpid(pid, nullptr, WNOHANG | __WALL);
  return Napi::Boolean::New(info.Env(), gone == pid || (gone < 0 && errno == ECHILD));
}
