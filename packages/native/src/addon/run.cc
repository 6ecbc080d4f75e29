// Starts a program of ours without copying the agent: fork(2) of a large process stops its event loop for tens of
// milliseconds, and child_process forks. What the program prints comes through a pipe; whoever started it reaps it.
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <vector>

#include "failure.h"
#include "functions.h"
#include "unique_fd.h"

namespace {

constexpr int kAboveChildFds = 16;
constexpr int kChildFds = 4;  // 0 to 3
constexpr size_t kStackBytes = 32768;

struct RunPlan {
  const char* path;
  char* const* argv;
  char* const* envp;
  int fds[kChildFds];  // all of them at or above kAboveChildFds
  int error;           // out: errno of what failed
};

int child_main(void* argument) {
  auto* plan = static_cast<RunPlan*>(argument);
  struct sigaction usual = {};
  usual.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; number++) (void)sigaction(number, &usual, nullptr);
  sigset_t none;
  (void)sigemptyset(&none);
  for (int fd = 0; fd < kChildFds; fd++) {
    if (dup2(plan->fds[fd], fd) < 0) {
      plan->error = errno;
      _exit(127);
    }
  }
  (void)syscall(SYS_close_range, static_cast<unsigned>(kChildFds), ~0U, 0U);
  if (chdir("/") == 0 && pthread_sigmask(SIG_SETMASK, &none, nullptr) == 0) (void)execve(plan->path, plan->argv, plan->envp);
  plan->error = errno;
  _exit(127);
}

class RunWorker : public Napi::AsyncWorker {
 public:
  RunWorker(Napi::Env env, std::string path, std::vector<std::string> words, int input, int tree)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        path_(std::move(path)),
        words_(std::move(words)) {
    // Now: its owner may close it as soon as this call returns.
    input_.reset(input < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : fcntl(input, F_DUPFD_CLOEXEC, kAboveChildFds));
    tree_.reset(fcntl(tree, F_DUPFD_CLOEXEC, kAboveChildFds));
    if (!input_.valid() || !tree_.valid()) error_ = errno;
  }

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    if (error_ != 0) {
      errno = error_;
      failure_.fail("run", "duplicate descriptors");
      return;
    }
    launch();
  }

  void OnOK() override {
    const Napi::Env env = Env();
    if (failure_.set()) {
      deferred_.Resolve(failure_.to_object(env));
      return;
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("pid", pid_);
    result.Set("output", output_.release());
    deferred_.Resolve(result);
  }

 private:
  static bool lift(UniqueFd& fd) {
    fd.reset(fcntl(fd.get(), F_DUPFD_CLOEXEC, kAboveChildFds));
    return fd.valid();
  }

  bool launch() {
    UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    int pair[2];
    if (!null.valid() || pipe2(pair, O_CLOEXEC) < 0) return failure_.fail("run", "pipe");
    UniqueFd ours(pair[0]);
    UniqueFd theirs(pair[1]);
    if (!lift(null) || !lift(theirs) || !lift(input_)) return failure_.fail("run", "duplicate descriptors");
    std::vector<char*> argv(words_.size() + 2, nullptr);
    argv[0] = path_.data();
    std::transform(words_.begin(), words_.end(), argv.begin() + 1, [](std::string& word) { return word.data(); });
    char* const envp[] = {nullptr};
    RunPlan plan = {.path = path_.c_str(),
                    .argv = argv.data(),
                    .envp = envp,
                    .fds = {input_.get(), theirs.get(), null.get(), tree_.get()},
                    .error = 0};
    std::vector<char> stack(kStackBytes);
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    // No exit signal: libuv need not wake up for a child that is not its own. reap() waits with __WALL.
    const int pid = clone(child_main, stack.data() + kStackBytes, CLONE_VM | CLONE_VFORK, &plan);
    const int clone_error = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) {
      errno = clone_error;
      return failure_.fail("run", "clone");
    }
    if (plan.error != 0) {
      (void)waitpid(pid, nullptr, __WALL);
      errno = plan.error;
      return failure_.fail("run", "execute " + path_);
    }
    pid_ = pid;
    output_ = std::move(ours);
    return true;
  }

  Napi::Promise::Deferred deferred_;
  std::string path_;
  std::vector<std::string> words_;
  UniqueFd input_;
  UniqueFd tree_;
  UniqueFd output_;
  Failure failure_;
  int error_ = 0;
  int pid_ = -1;
};

}  // namespace

Napi::Value run(const Napi::CallbackInfo& info) {
  std::vector<std::string> words;
  const auto given = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < given.Length(); i++) words.push_back(given.Get(i).As<Napi::String>().Utf8Value());
  auto* worker = new RunWorker(info.Env(), info[0].As<Napi::String>().Utf8Value(), std::move(words),
                               info[2].As<Napi::Number>().Int32Value(), info[3].As<Napi::Number>().Int32Value());
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}
