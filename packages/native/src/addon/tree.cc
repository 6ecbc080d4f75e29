// Deletes a directory that a container wrote into: any names, any depth, symbolic links not followed. Depth costs
// neither stack nor descriptors: what lies deeper than a few levels is first moved up, to the top.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "failure.h"
#include "functions.h"
#include "lock.h"
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

  // Waits for the lock of `from` first, and leaves all as it is when one of the paths `first` is there.
  void after(int64_t patience_us, std::vector<std::string> first) {
    patience_us_ = patience_us;
    first_ = std::move(first);
  }

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    if (patience_us_ > 0 && !is_next()) return;
    remove();
    lock_.reset();
  }

  void OnOK() override {
    if (failure_.set())
      deferred_.Resolve(failure_.to_object(Env()));
    else if (lock_.valid())
      deferred_.Resolve(Napi::Number::New(Env(), lock_.release()));
    else
      deferred_.Resolve(Env().Undefined());
  }

 private:
  bool is_next() {
    const int held = take_soon(parent_, from_, patience_us_);
    if (held < 0) {
      errno = -held;
      return errno == ENOENT ? false : failure_.fail("state.lock", "the supervisor of " + from_ + " is still there");
    }
    lock_.reset(held);
    return std::none_of(first_.begin(), first_.end(), [](const std::string& path) {
      return faccessat(AT_FDCWD, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    });
  }

  void remove() {
    if (!from_.empty() && renameat(parent_, from_.c_str(), parent_, name_.c_str()) < 0) {
      if (errno != ENOENT) (void)failure_.fail("state.remove", from_);
      return;
    }
    const int error = remove_one(parent_, name_.c_str());
    if (error == ENOTEMPTY) {
      if (!empty_top()) return;
      if (unlinkat(parent_, name_.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT) failure_.fail("state.remove", name_);
    } else if (error != 0) {
      errno = error;
      failure_.fail("state.remove", name_);
    }
  }

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
      if (errno != ENOTEMPTY && errno != EEXIST) return errno == ENOENT || failure_.fail("state.remove", name);
    }
  }

  Napi::Promise::Deferred deferred_;
  int parent_;
  std::string from_;
  std::string name_;
  UniqueFd lock_;
  int64_t patience_us_ = 0;
  std::vector<std::string> first_;
  uint64_t counter_ = 0;
  Failure failure_;
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
  const auto paths = info[4].As<Napi::Array>();
  std::vector<std::string> first;
  for (uint32_t i = 0; i < paths.Length(); i++) first.push_back(paths.Get(i).As<Napi::String>().Utf8Value());
  worker->after(int64_t{info[3].As<Napi::Number>().Int32Value()} * 1000, std::move(first));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}
