// The addon's only entry: functions and no state. Several instances (worker threads) may live side by side.
#include "functions.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("imageOpen", Napi::Function::New<image_open>(env, "imageOpen"));
  exports.Set("netlink", Napi::Function::New<netlink>(env, "netlink"));
  exports.Set("claim", Napi::Function::New<claim>(env, "claim"));
  exports.Set("standby", Napi::Function::New<standby>(env, "standby"));
  exports.Set("start", Napi::Function::New<start>(env, "start"));
  exports.Set("discard", Napi::Function::New<discard>(env, "discard"));
  exports.Set("forget", Napi::Function::New<forget>(env, "forget"));
  exports.Set("sweep", Napi::Function::New<sweep>(env, "sweep"));
  exports.Set("lockSoon", Napi::Function::New<lock_soon>(env, "lockSoon"));
  exports.Set("lock", Napi::Function::New<lock>(env, "lock"));
  exports.Set("reap", Napi::Function::New<reap>(env, "reap"));
  exports.Set("pidfdOpen", Napi::Function::New<pidfd_open>(env, "pidfdOpen"));
  exports.Set("pidfdKill", Napi::Function::New<pidfd_kill>(env, "pidfdKill"));
  exports.Set("run", Napi::Function::New<run>(env, "run"));
  exports.Set("spread", Napi::Function::New<spread>(env, "spread"));
  exports.Set("removeTree", Napi::Function::New<remove_tree>(env, "removeTree"));
  exports.Set("Poller", poller(env));
  exports.Set("Link", link_class(env));
  exports.Set("dial", Napi::Function::New<dial>(env, "dial"));
  exports.Set("eventFd", Napi::Function::New<event_fd>(env, "eventFd"));
  exports.Set("drain", Napi::Function::New<drain>(env, "drain"));
  exports.Set("projectQuotas", Napi::Function::New<project_quotas>(env, "projectQuotas"));
  exports.Set("getXattr", Napi::Function::New<get_xattr>(env, "getXattr"));
  exports.Set("readStats", Napi::Function::New<read_stats>(env, "readStats"));
  return exports;
}

}  // namespace

NODE_API_MODULE(berth_native, init)
