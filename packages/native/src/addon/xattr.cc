// Extended attributes of what is open: Node has none of them.
#include <sys/xattr.h>

#include <array>
#include <cerrno>
#include <string>

#include "functions.h"

Napi::Value get_xattr(const Napi::CallbackInfo& info) {
  const int file = info[0].As<Napi::Number>().Int32Value();
  const std::string name = info[1].As<Napi::String>().Utf8Value();
  // What the kernel keeps of one is never larger (XATTR_SIZE_MAX).
  static thread_local std::array<char, 65536> value;
  const ssize_t size = fgetxattr(file, name.c_str(), value.data(), value.size());
  if (size < 0) return Napi::Number::New(info.Env(), -errno);
  return Napi::Buffer<char>::Copy(info.Env(), value.data(), static_cast<size_t>(size));
}
