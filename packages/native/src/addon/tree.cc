// Deletes a directory that a container wrote into: any names, any depth, symbolic links not followed. Depth costs
// neither stack nor descriptors: a directory inside a directory is first moved up, next to its parent.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <string>

#include "failure.h"
#include "functions.h"
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

// 0 when it is gone, ENOTEMPTY when it is a directory with something in it, else what went wrong.
int remove_one(int dir, const char* name) {
  if (unlinkat(dir, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return errno;
  if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
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

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    remove();
    lock_.reset();
  }

  void OnOK() override { deferred_.Resolve(failure_.set() ? failure_.to_object(Env()) : Env().Undefined()); }

 private:
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
    for (bool found = true; found;) {
      found = false;
      rewinddir(top.get());
      while (const dirent* entry = next(top.get())) {
        found = true;
        const std::string name = entry->d_name;
        const int error = remove_one(dirfd(top.get()), name.c_str());
        if (error == ENOTEMPTY) {
          if (!flatten(dirfd(top.get()), name)) return false;
        } else if (error != 0) {
          errno = error;
          return failure_.fail("state.remove", name);
        }
      }
      if (errno != 0) return failure_.fail("state.remove", "read " + name_);
    }
    return true;
  }

  // Leaves `name` empty and removes it; the directories in it now lie in `top`.
  bool flatten(int top, const std::string& name) {
    Directory dir = open_dir(top, name.c_str());
    if (!dir) return errno == ENOENT || failure_.fail("state.remove", name);
    for (bool found = true; found;) {
      found = false;
      rewinddir(dir.get());
      while (const dirent* entry = next(dir.get())) {
        found = true;
        const std::string child = entry->d_name;
        int error = remove_one(dirfd(dir.get()), child.c_str());
        while (error == ENOTEMPTY || error == EEXIST) {
          const std::string moved = "~" + std::to_string(counter_++);
          error = renameat(dirfd(dir.get()), child.c_str(), top, moved.c_str()) == 0 ? 0 : errno;
        }
        if (error != 0 && error != ENOENT) {
          errno = error;
          return failure_.fail("state.remove", child);
        }
      }
      if (errno != 0) return failure_.fail("state.remove", "read " + name);
    }
    if (unlinkat(top, name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT) return failure_.fail("state.remove", name);
    return true;
  }

  Napi::Promise::Deferred deferred_;
  int parent_;
  std::string from_;
  std::string name_;
  UniqueFd lock_;
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
