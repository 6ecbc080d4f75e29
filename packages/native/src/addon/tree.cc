// Deletes a directory that a container wrote into: any names, any depth, symbolic links not followed. Depth costs
// neither stack nor descriptors: what lies deeper than a few levels is first moved up, to the top. Nor does size cost
// anybody else a thread of the pool for long: after a moment the job goes to the end of the queue.
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../../include/control.h"
#include "exists.h"
#include "failure.h"
#include "functions.h"
#include "lock.h"
#include "strings.h"
#include "unique_fd.h"

namespace {

struct CloseDir {
  void operator()(DIR* dir) const { (void)closedir(dir); }
};
using Directory = std::unique_ptr<DIR, CloseDir>;

Directory open_dir(int parent, const char* name) {
  UniqueFd fd(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return nullptr;
  Directory dir(fdopendir(fd.get()));
  if (dir) (void)fd.release();
  return dir;
}

const dirent* next(DIR* dir) {
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(dir);
    if (entry == nullptr) return nullptr;
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") return entry;
  }
}

constexpr int64_t kMomentUs = 20'000;
// Of which a job deletes so many at least: each begins with reading the directory again.
constexpr unsigned kLeast = 256;

// So many directories are open at a time, one in the other.
constexpr int kLevels = 8;

// 0 when it is gone, ENOTEMPTY when it is a directory with something in it, else what went wrong.
int remove_one(int dir, const char* name, unsigned char type = DT_UNKNOWN) {
  if (type != DT_DIR) {
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT) return 0;
    if (errno != EISDIR && errno != EPERM) return errno;
  }
  if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
  // It was one when it was read.
  if (errno == ENOTDIR && type == DT_DIR) return remove_one(dir, name);
  return errno == EEXIST ? ENOTEMPTY : errno;
}

// What is left of a container that wrote nothing, the end of overlayfs's own directories first. Deleting it by name reads
// no directory; whatever else is there is found afterwards.
void remove_usual(int dir) {
  constexpr struct {
    const char* path;
    int flags;
  } kUsual[] = {
      {"status", 0},
      {"exit", 0},
      {"lock", 0},
      {"upper", AT_REMOVEDIR},
      {"work/work/incompat/volatile/dirty", 0},
      {"work/work/incompat/volatile", AT_REMOVEDIR},
      {"work/work/incompat", AT_REMOVEDIR},
      {"work/work", AT_REMOVEDIR},
      {"work", AT_REMOVEDIR},
  };
  // None of those on the way may be a symbolic link.
  open_how how = {};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const UniqueFd deepest(static_cast<int>(syscall(SYS_openat2, dir, "work/work/incompat/volatile", &how, sizeof how)));
  if (!deepest.valid()) return;
  for (const auto& one : kUsual) (void)unlinkat(dir, one.path, one.flags);
}

// Deletes one directory of `parent`, or whatever else is called so there.
class Removal {
 public:
  Removal(int parent, const std::string& name, Failure& failure)
      : parent_(parent), name_(name), failure_(failure), until_us_(now_us() + kMomentUs) {}

  // Nothing went wrong, but there is more to do.
  [[nodiscard]] bool is_unfinished() const { return unfinished_; }

  // `was_container`: what a container leaves.
  bool run(bool was_container) {
    // The last reference to a deleted directory frees its blocks, for which a disk may be asked and waited. So that is not
    // given up while the kernel keeps everybody else from `parent`.
    const UniqueFd kept(openat(parent_, name_.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (was_container) remove_usual(kept.get());
    const int error = remove_one(parent_, name_.c_str(), was_container ? DT_DIR : DT_UNKNOWN);
    if (error == ENOTEMPTY)
      return empty_top() && (unlinkat(parent_, name_.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT ||
                             failure_.fail("state.remove", name_));
    errno = error;
    return error == 0 || failure_.fail("state.remove", name_);
  }

 private:
  bool empty_top() {
    Directory top = open_dir(parent_, name_.c_str());
    if (!top) return errno == ENOENT || failure_.fail("state.remove", name_);
    return empty(top.get(), dirfd(top.get()), name_, 1);
  }

  // What is deeper than `kLevels` then lies in `top`.
  bool empty(DIR* dir, int top, const std::string& name, int level) {
    for (bool found = true; found;) {
      found = false;
      rewinddir(dir);
      while (const dirent* entry = next(dir)) {
        found = true;
        const std::string child = entry->d_name;
        const int error = remove_one(dirfd(dir), child.c_str(), entry->d_type);
        if (error == ENOTEMPTY) {
          if (!(level < kLevels ? empty_below(dirfd(dir), top, child, level + 1) : lift(dirfd(dir), top, child)))
            return false;
        } else if (error != 0) {
          errno = error;
          return failure_.fail("state.remove", child);
        }
        if (++deleted_ >= kLeast && now_us() >= until_us_) {
          unfinished_ = true;
          return false;
        }
      }
      if (errno != 0) return failure_.fail("state.remove", "read " + name);
    }
    return true;
  }

  bool empty_below(int parent, int top, const std::string& name, int level) {
    Directory dir = open_dir(parent, name.c_str());
    if (!dir) return errno == ENOENT || failure_.fail("state.remove", name);
    if (!empty(dir.get(), top, name, level)) return false;
    return unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT || failure_.fail("state.remove", name);
  }

  bool lift(int parent, int top, const std::string& name) {
    for (;;) {
      const std::string moved = "~" + std::to_string(counter_++);
      if (renameat(parent, name.c_str(), top, moved.c_str()) == 0) return true;
      // Whoever made the tree may have taken that name, for a directory or for a file.
      if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
        return errno == ENOENT || failure_.fail("state.remove", name);
    }
  }

  int parent_;
  const std::string& name_;
  Failure& failure_;
  int64_t until_us_;
  bool unfinished_ = false;
  unsigned deleted_ = 0;
  uint64_t counter_ = 0;
};

// Nothing that takes room: neither files of the container nor a log.
bool holds_nothing(int parent, const std::string& name) {
  const UniqueFd dir(openat(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir.valid() || exists(dir.get(), "log")) return false;
  const Directory upper = open_dir(dir.get(), "upper");
  return upper && next(upper.get()) == nullptr && errno == 0;
}

class TreeWorker : public Napi::AsyncWorker {
 public:
  // With `from` it is first renamed to `name`. `lock` is closed at the end, whatever happens: the last reference to a
  // deleted file frees its blocks, which may wait for the disk.
  TreeWorker(Napi::Env env, int parent, std::string from, std::string name, int lock)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        parent_(parent),
        from_(std::move(from)),
        name_(std::move(name)),
        lock_(lock) {}

  // Waits for the end of the supervisor first, and leaves all as it is when one of the paths `first` is there. `supervisor`
  // is a child of ours that nobody else waits for, or 0: then the lock of `from` tells. With `vouches` its exit status alone
  // says whether one of the paths is there. A directory that holds nothing is renamed and left to sweep().
  void after(int64_t patience_us, std::vector<std::string> first, pid_t supervisor, bool vouches) {
    patience_us_ = patience_us;
    first_ = std::move(first);
    supervisor_ = supervisor;
    vouches_ = vouches;
    leaves_empty_ = true;
  }

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    if (patience_us_ > 0 && !is_next()) return;
    remove();
    lock_.reset();
  }

  void OnOK() override {
    if (is_unfinished_)
      (new TreeWorker(*this))->Queue();
    else if (failure_.set())
      deferred_.Resolve(failure_.to_object(Env()));
    else if (lock_.valid())
      deferred_.Resolve(Napi::Number::New(Env(), lock_.release()));
    else if (leaves_empty_)
      deferred_.Resolve(Napi::Boolean::New(Env(), !is_left_));
    else
      deferred_.Resolve(Env().Undefined());
  }

 private:
  // What is left of a removal, in the name of the same promise.
  explicit TreeWorker(const TreeWorker& before)
      : Napi::AsyncWorker(before.Env()),
        deferred_(before.deferred_),
        parent_(before.parent_),
        name_(before.name_),
        leaves_empty_(before.leaves_empty_) {}

  bool is_next() {
    const int64_t deadline = now_us() + patience_us_;
    if (supervisor_ > 0) {
      const std::optional<int> status = reap(deadline);
      if (!status) return is_still_there(EWOULDBLOCK);
      if (vouches_ && *status == BERTH_EXIT_REMOVED) return true;
    }
    const int held = take_soon(parent_, from_, deadline - now_us());
    if (held < 0) return held == -ENOENT ? false : is_still_there(-held);
    lock_.reset(held);
    return !vouches_ && std::none_of(first_.begin(), first_.end(), [](const std::string& path) {
      return exists(AT_FDCWD, path.c_str());
    });
  }

  bool is_still_there(int error) {
    errno = error;
    return failure_.fail("state.lock", "the supervisor of " + from_ + " is still there");
  }

  // What the supervisor exited with, -1 when that cannot be said, nothing when it still runs. Its end frees the lock as
  // well. Where there are no descriptors left, it is looked for every millisecond.
  std::optional<int> reap(int64_t deadline) {
    const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, supervisor_, 0)));
    for (;;) {
      const int64_t left_ms = std::max<int64_t>((deadline - now_us()) / 1000, 0);
      pollfd end = {.fd = pidfd.get(), .events = POLLIN, .revents = 0};
      (void)poll(&end, 1, static_cast<int>(pidfd.valid() ? left_ms : std::min<int64_t>(left_ms, 1)));
      int status = 0;
      const pid_t gone = waitpid(supervisor_, &status, WNOHANG | __WALL);
      if (gone != 0) return gone == supervisor_ && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
      if (now_us() >= deadline) return std::nullopt;
    }
  }

  void remove() {
    if (!from_.empty() && renameat(parent_, from_.c_str(), parent_, name_.c_str()) < 0) {
      if (errno != ENOENT) (void)failure_.fail("state.remove", from_);
      return;
    }
    is_left_ = leaves_empty_ && !from_.empty() && holds_nothing(parent_, name_);
    if (is_left_) return;
    Removal removal(parent_, name_, failure_);
    (void)removal.run(!from_.empty());
    is_unfinished_ = removal.is_unfinished();
  }

  Napi::Promise::Deferred deferred_;
  int parent_;
  std::string from_;
  std::string name_;
  UniqueFd lock_;
  int64_t patience_us_ = 0;
  std::vector<std::string> first_;
  pid_t supervisor_ = 0;
  bool vouches_ = false;
  bool leaves_empty_ = false;
  bool is_left_ = false;
  bool is_unfinished_ = false;
  Failure failure_;
};

// What `forget` left.
class SweepWorker : public Napi::AsyncWorker {
 public:
  SweepWorker(Napi::Env env, int parent, std::vector<std::string> names)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        parent_(parent),
        names_(std::move(names)) {}

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    for (const std::string& name : names_) {
      Failure ignored;
      if (!Removal(parent_, name, ignored).run(true)) left_.push_back(name);
    }
  }

  void OnOK() override {
    auto left = Napi::Array::New(Env(), left_.size());
    for (uint32_t i = 0; i < left_.size(); i += 1) left.Set(i, left_[i]);
    deferred_.Resolve(left);
  }

 private:
  Napi::Promise::Deferred deferred_;
  int parent_;
  std::vector<std::string> names_;
  std::vector<std::string> left_;
};

}  // namespace

Napi::Value remove_tree(const Napi::CallbackInfo& info) {
  auto* worker = new TreeWorker(info.Env(), info[0].As<Napi::Number>().Int32Value(), "",
                                info[1].As<Napi::String>().Utf8Value(), -1);
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value discard(const Napi::CallbackInfo& info) {
  auto* worker = new TreeWorker(info.Env(), info[0].As<Napi::Number>().Int32Value(),
                                info[1].As<Napi::String>().Utf8Value(), info[2].As<Napi::String>().Utf8Value(),
                                info[3].As<Napi::Number>().Int32Value());
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value forget(const Napi::CallbackInfo& info) {
  auto* worker = new TreeWorker(info.Env(), info[0].As<Napi::Number>().Int32Value(),
                                info[1].As<Napi::String>().Utf8Value(), info[2].As<Napi::String>().Utf8Value(), -1);
  worker->after(int64_t{info[3].As<Napi::Number>().Int32Value()} * 1000, strings_of(info[4].As<Napi::Array>()),
                info[5].As<Napi::Number>().Int32Value(), info[6].As<Napi::Boolean>().Value());
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value sweep(const Napi::CallbackInfo& info) {
  auto* worker = new SweepWorker(info.Env(), info[0].As<Napi::Number>().Int32Value(),
                                 strings_of(info[1].As<Napi::Array>()));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}
