// Whether something is called so in a directory. A symbolic link is something, wherever it leads.
#pragma once

#include <fcntl.h>
#include <unistd.h>

inline bool exists(int dir, const char* name) { return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }
