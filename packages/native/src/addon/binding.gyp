# Not in the package's root: package managers would run "node-gyp rebuild" there by themselves, without --nodedir.
{
  "targets": [
    {
      "target_name": "berth_native",
      "sources": ["addon.cc", "child.cc", "claim.cc", "image.cc", "link.cc", "lock.cc", "netlink.cc", "pidfd.cc",
        "poll.cc", "quota.cc", "run.cc", "spread.cc", "start.cc", "stats.cc", "tree.cc", "xattr.cc"],
      "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "_GNU_SOURCE"],
      # -Wno-restrict: gcc 12 sees an overlap in every string + string, GCC bug 105651.
      "cflags": ["-fvisibility=hidden", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", "-fstack-protector-strong", "-Wno-restrict"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++1y", "-fexceptions"],
      "cflags_cc": ["-std=gnu++20", "-fno-exceptions", "-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"],
      "ldflags": ["-Wl,-z,relro,-z,now"]
    }
  ]
}
