// A failure on its way to JavaScript: { stage, errno, detail }, as in lib/types.ts.
#pragma once

#include <napi.h>

#include <cerrno>
#include <string>

struct Failure {
  std::string stage;
  int number = 0;
  std::string detail;

  [[nodiscard]] bool set() const { return !stage.empty(); }
  // Takes errno as it is now; returns false so that steps can be chained.
  bool fail(const char* at, std::string about) {
    number = errno;
    stage = at;
    detail = std::move(about);
    return false;
  }
  [[nodiscard]] Napi::Object to_object(Napi::Env env) const {
    Napi::Object object = Napi::Object::New(env);
    object.Set("stage", stage);
    object.Set("errno", number);
    object.Set("detail", detail);
    return object;
  }
};
