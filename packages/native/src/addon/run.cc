// Starts a program of ours without copying the agent: fork(2) of a large process stops its event loop for tens of
// milliseconds, and child_process forks. What the program prints comes through a pipe; whoever started it reaps it.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "child.h"
#include "failure.h"
#include "functions.h"
#include "unique_fd.h"

namespace {

constexpr int kFed = -2;

class RunWorker : public Napi::AsyncWorker {
 public:
  // `input` -1: it reads nothing; -2: what its starter writes to a pipe.
  RunWorker(Napi::Env env, std::string path, std::vector<std::string> words, int input, int tree)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        path_(std::move(path)),
        words_(std::move(words)) {
    // Now: its owner may close it as soon as this call returns.
    int fed[2];
    if (input == kFed && pipe2(fed, O_CLOEXEC) == 0) {
      input_.reset(fed[0]);
      feed_.reset(fed[1]);
    } else if (input < 0) {
      input_.reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
    } else {
      input_.reset(fcntl(input, F_DUPFD_CLOEXEC, kAboveChildFds));
    }
    tree_.reset(fcntl(tree, F_DUPFD_CLOEXEC, kAboveChildFds));
    if (!input_.valid() || !tree_.valid() || (input == kFed && !feed_.valid())) error_ = errno;
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
    if (feed_.valid()) result.Set("feed", feed_.release());
    deferred_.Resolve(result);
  }

 private:
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
    const int fds[] = {input_.get(), theirs.get(), null.get(), tree_.get()};
    ChildPlan plan = {.dir = AT_FDCWD,
                      .path = path_.c_str(),
                      .flags = 0,
                      .fds = fds,
                      .fd_count = static_cast<int>(std::size(fds)),
                      .clean = true,
                      .argv = argv.data(),
                      .envp = envp,
                      .error = 0};
    const int pid = start_child(plan);
    if (pid < 0) return failure_.fail("run", plan.error == 0 ? "clone" : "execute " + path_);
    pid_ = pid;
    output_ = std::move(ours);
    return true;
  }

  Napi::Promise::Deferred deferred_;
  std::string path_;
  std::vector<std::string> words_;
  UniqueFd input_;
  UniqueFd feed_;
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
