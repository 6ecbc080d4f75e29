// Calls into JavaScript from the loop.
#pragma once

#include <napi.h>

#include <initializer_list>

// Nobody is above it: what it throws is uncaught, as from a timer. Left pending, it would come out of the next call of
// whatever function of the addon.
inline void call_back(const Napi::FunctionReference& callback, const std::initializer_list<napi_value>& args) {
  const Napi::Env env = callback.Env();
  (void)callback.MakeCallback(env.Global(), args);
  if (env.IsExceptionPending()) (void)napi_fatal_exception(env, env.GetAndClearPendingException().Value());
}
