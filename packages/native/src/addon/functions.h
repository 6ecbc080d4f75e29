// What the addon offers to lib/binding.ts. All that may wait runs on a thread of the pool and returns a promise.
#pragma once

#include <napi.h>

// (path) → descriptor of a sealed copy of the supervisor, or { stage, errno, detail }
Napi::Value image_open(const Napi::CallbackInfo& info);
// (image, stateRoot, id, spec, text kept in the lock file) → Promise of { pid, socket } or { stage, errno, detail }
Napi::Value start(const Napi::CallbackInfo& info);
// (image, stateRoot, slot, directories of v1 cgroups) → Promise of { pid, socket } of a supervisor that waits for its spec, or a failure
Napi::Value standby(const Napi::CallbackInfo& info);
// (stateRoot, slot, id, socket, spec, note) → Promise of undefined or { stage, errno, detail }
Napi::Value claim(const Napi::CallbackInfo& info);
// (netns or -1, messages) → Promise of the answers' bytes or { stage, errno, detail }
Napi::Value netlink(const Napi::CallbackInfo& info);
// (stateRoot, id) → descriptor that holds the lock, -EWOULDBLOCK when somebody else does, or another -errno
Napi::Value lock(const Napi::CallbackInfo& info);
// (stateRoot, id, patienceMs) → Promise of the same, asked until it is free
Napi::Value lock_soon(const Napi::CallbackInfo& info);
// (path, words, stdin or -1, descriptor that becomes number 3) → Promise of { pid, output } or { stage, errno, detail }
Napi::Value run(const Napi::CallbackInfo& info);
// (pid) → true when that child is gone for good
Napi::Value reap(const Napi::CallbackInfo& info);
// (pid) → descriptor of whoever has that number now, or -errno
Napi::Value pidfd_open(const Napi::CallbackInfo& info);
// (descriptor) → 0 when that process was sent SIGKILL, or -errno
Napi::Value pidfd_kill(const Napi::CallbackInfo& info);
// (directory) → whether its file system keeps what is in each of its directories apart
Napi::Value spread(const Napi::CallbackInfo& info);
// (directory, name) → Promise of undefined or { stage, errno, detail }
Napi::Value remove_tree(const Napi::CallbackInfo& info);
// (directories by role, which of them are v1, ids) → Promise of { values, io }, see stats.cc and lib/stats.ts
Napi::Value read_stats(const Napi::CallbackInfo& info);
// The class Poller: (descriptor, whether for POLLPRI, callback) with start() and close(), see poll.cc
Napi::Function poller(Napi::Env env);
// The class Link: (connected socket, callback) with send() and close(), see link.cc
Napi::Function link_class(Napi::Env env);
// (stateRoot, id) → socket that is connected to the supervisor of `id`, or -errno
Napi::Value dial(const Napi::CallbackInfo& info);
// () → a new eventfd, or -errno
Napi::Value event_fd(const Napi::CallbackInfo& info);
// (eventfd) → nothing; its count is zero afterwards
Napi::Value drain(const Napi::CallbackInfo& info);
// (stateRoot, id, trash, lock) → the same, after renaming `id` to `trash`; closes `lock`
Napi::Value discard(const Napi::CallbackInfo& info);
// (stateRoot, id, trash, patienceMs, paths, child, vouches) → the same, once the supervisor of `id` is gone; when one of the
// paths is there nothing is done, and the lock is the answer. `child` is reaped; whether it alone says what there is. What
// held nothing is only renamed: false instead of true
Napi::Value forget(const Napi::CallbackInfo& info);
// (stateRoot, names) → Promise of the names that could not be deleted, of those that `forget` renamed
Napi::Value sweep(const Napi::CallbackInfo& info);
// (descriptor, name) → Buffer, or -errno
Napi::Value get_xattr(const Napi::CallbackInfo& info);
// (directory) → 0 when its file system enforces project quotas, or -errno
Napi::Value project_quotas(const Napi::CallbackInfo& info);
