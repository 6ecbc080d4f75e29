// A list of strings as it comes from JavaScript.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

inline std::vector<std::string> strings_of(const Napi::Array& array) {
  std::vector<std::string> strings;
  for (uint32_t i = 0; i < array.Length(); i++) strings.push_back(array.Get(i).As<Napi::String>().Utf8Value());
  return strings;
}
