/*
 * Any /etc/passwd and /etc/group, and any user that a job asks for: ids stay in the container's range, the home ends with
 * NUL, and the groups stay in their array. The input is "who", NUL, one file for both.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

static int file = -1;

static int open_file(int root, const char *path, unsigned long long flags)
{
  (void)root;
  (void)path;
  (void)flags;
  int fd = dup(file);
  must(fd >= 0 && lseek(fd, 0, SEEK_SET) == 0);
  return fd;
}

#define fd_open_in_root(root, path, flags) open_file(root, path, flags)
#include "../src/supervisor/users.c"
#undef fd_open_in_root

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  file = memfd_create("passwd", MFD_CLOEXEC);
  return file < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char who[BERTH_MAX_USER + 1];
  struct spec spec = { 0 };
  struct user user;
  struct err err;
  size_t length = size == 0 ? 0 : strnlen((const char *)data, size);
  if (length >= sizeof who || length >= size)
    return 0;
  memcpy(who, data, length);
  who[length] = '\0';
  size -= length + 1;
  must(ftruncate(file, 0) == 0 && pwrite(file, data + length + 1, size, 0) == (ssize_t)size);
  int before = dup(file);
  must(before >= 0 && close(before) == 0);
  if (users_resolve(&user, &spec, who, (struct berth_list){ 0 }, &err) == 0) {
    must(user.uid < BERTH_ID_COUNT && user.gid < BERTH_ID_COUNT && user.group_count <= USERS_MAX_GROUPS);
    for (unsigned i = 0; i < user.group_count; i++)
      must(user.groups[i] < BERTH_ID_COUNT);
    must(memchr(user.home, '\0', sizeof user.home) != NULL);
  } else
    must(err.stage[0] != '\0' && err.number != 0);
  int after = dup(file);
  must(after == before && close(after) == 0);
  return 0;
}
