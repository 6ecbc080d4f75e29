#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fd.h"

#define STAGE "user"
#define MAX_FILE 4194304u

/* Lines of a file of the image, one after the other. One that does not fit is passed over, as one that makes no sense. */
struct lines {
  int fd;
  size_t start, end; /* what was read and not yet returned */
  size_t total;
  bool skipping;
  char buffer[16 * 1024];
};

static struct lines lines = { .fd = -1 };

/* 0 when there is no such file. */
static int lines_open(const char *path, struct err *err)
{
  cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0)
    return err_sys(err, STAGE, "open /");
  /* O_NONBLOCK: an image may have put a FIFO there. */
  cleanup_close int fd = fd_open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fd < 0)
    return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, STAGE, "%s in the image", path);
  struct stat info;
  if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
    return err_set(err, EINVAL, STAGE, "%s in the image is not a regular file", path);
  if (info.st_size > (off_t)MAX_FILE)
    return err_set(err, EFBIG, STAGE, "%s in the image has more than %u bytes", path, MAX_FILE);
  lines = (struct lines){ .fd = fd_take(&fd) };
  return 1;
}

/* NUL-terminated in place; NULL at the end. Bytes beyond MAX_FILE do not exist: the file may grow while it is read. */
static char *lines_next(void)
{
  for (;;) {
    char *line = lines.buffer + lines.start;
    char *newline = memchr(line, '\n', lines.end - lines.start);
    if (newline != NULL) {
      *newline = '\0';
      lines.start = (size_t)(newline + 1 - lines.buffer);
      if (!lines.skipping)
        return line;
      lines.skipping = false;
      continue;
    }
    memmove(lines.buffer, line, lines.end - lines.start);
    lines.end -= lines.start;
    lines.start = 0;
    if (lines.end == sizeof lines.buffer - 1) {
      lines.skipping = true;
      lines.end = 0;
    }
    ssize_t more = lines.total >= MAX_FILE
                       ? 0
                       : RETRY_INTR(read(lines.fd, lines.buffer + lines.end, sizeof lines.buffer - 1 - lines.end));
    if (more > 0) {
      lines.end += (size_t)more;
      lines.total += (size_t)more;
      continue;
    }
    (void)close(lines.fd);
    lines.fd = -1;
    if (lines.end == 0 || lines.skipping)
      return NULL;
    lines.buffer[lines.end] = '\0';
    lines.end = 0;
    return lines.buffer;
  }
}

static void lines_close(void)
{
  if (lines.fd >= 0)
    (void)close(lines.fd);
  lines.fd = -1;
}

/* Digits only, no sign, no blank, no leading zero; 4294967295 means "no id" to the kernel. */
static bool parse_id(const char *text, uint32_t *id)
{
  uint64_t value = 0;
  size_t length = strlen(text);
  if (length == 0 || length > 10 || (text[0] == '0' && length > 1))
    return false;
  for (; *text != '\0'; text++) {
    if (*text < '0' || *text > '9')
      return false;
    value = value * 10 + (uint64_t)(*text - '0');
  }
  if (value >= UINT32_MAX)
    return false;
  *id = (uint32_t)value;
  return true;
}

/* A line of passwd(5) or group(5) in place; false when it has another number of fields. */
static bool split(char *line, char **fields, unsigned count)
{
  for (unsigned i = 0; i < count; i++) {
    fields[i] = line;
    line = strchr(line, ':');
    if (line == NULL)
      return i + 1 == count;
    *line++ = '\0';
  }
  return false;
}

static int inside(uint32_t id, const char *what, struct err *err)
{
  if (id < BERTH_ID_COUNT)
    return 0;
  return err_set(err, EINVAL, STAGE, "%s %u is none of the container's %u ids", what, id, BERTH_ID_COUNT);
}

/* Finds the user by name or uid; fills in what the image knows of it, and its name for the search of groups. */
static int find_user(struct user *user, const char *who, char *name, size_t size, struct err *err)
{
  uint32_t wanted = 0;
  bool by_id = parse_id(who, &wanted);
  int opened = lines_open("/etc/passwd", err);
  if (opened < 0)
    return -1;
  bool found = false;
  for (char *line; opened > 0 && !found && (line = lines_next()) != NULL;) {
    char *fields[7];
    uint32_t uid, gid;
    if (!split(line, fields, 7) || !parse_id(fields[2], &uid) || !parse_id(fields[3], &gid))
      continue;
    if (by_id ? uid != wanted : strcmp(fields[0], who) != 0)
      continue;
    found = true;
    user->uid = uid;
    user->gid = gid;
    (void)snprintf(name, size, "%s", fields[0]);
    if (fields[5][0] == '/' && strlen(fields[5]) < sizeof user->home)
      (void)snprintf(user->home, sizeof user->home, "%s", fields[5]);
  }
  lines_close();
  if (!found && !by_id)
    return err_set(err, ENOENT, STAGE, "the image's /etc/passwd has no user \"%.100s\"", who);
  if (!found)
    user->uid = wanted;
  return inside(user->uid, "uid", err) < 0 || inside(user->gid, "gid", err) < 0 ? -1 : 0;
}

static int find_group(const char *group, gid_t *gid, struct err *err)
{
  uint32_t id = 0;
  if (parse_id(group, &id)) {
    *gid = id;
    return inside(id, "gid", err);
  }
  int opened = lines_open("/etc/group", err);
  if (opened < 0)
    return -1;
  bool found = false;
  for (char *line; opened > 0 && !found && (line = lines_next()) != NULL;) {
    char *fields[4];
    found = split(line, fields, 4) && strcmp(fields[0], group) == 0 && parse_id(fields[2], &id);
  }
  lines_close();
  if (!found)
    return err_set(err, ENOENT, STAGE, "the image's /etc/group has no group \"%.100s\"", group);
  *gid = id;
  return inside(id, "gid", err);
}

static int add_group(struct user *user, gid_t gid, struct err *err)
{
  for (unsigned i = 0; i < user->group_count; i++)
    if (user->groups[i] == gid)
      return 0;
  if (user->group_count == USERS_MAX_GROUPS)
    return err_set(err, E2BIG, STAGE, "more than %u supplementary groups", USERS_MAX_GROUPS);
  user->groups[user->group_count++] = gid;
  return 0;
}

static bool is_member(char *members, const char *name)
{
  for (char *rest = members, *one; (one = strsep(&rest, ",")) != NULL;)
    if (strcmp(one, name) == 0)
      return true;
  return false;
}

/* Groups that name the user as a member, group(5). */
static int add_memberships(struct user *user, const char *name, struct err *err)
{
  int opened = lines_open("/etc/group", err);
  if (opened < 0)
    return -1;
  int failed = 0;
  for (char *line; opened > 0 && failed == 0 && (line = lines_next()) != NULL;) {
    char *fields[4];
    uint32_t gid;
    if (!split(line, fields, 4) || !parse_id(fields[2], &gid) || gid >= BERTH_ID_COUNT || gid == user->gid)
      continue;
    if (is_member(fields[3], name))
      failed = add_group(user, gid, err);
  }
  lines_close();
  return failed;
}

int users_resolve(struct user *user, const struct spec *spec, const char *who, struct berth_list more, struct err *err)
{
  char given[BERTH_MAX_USER + 1];
  char name[BERTH_MAX_USER + 1] = "";
  memset(user, 0, sizeof *user);
  (void)snprintf(given, sizeof given, "%s", who[0] == '\0' ? "0" : who);
  char *group = strchr(given, ':');
  if (group != NULL)
    *group++ = '\0';
  if (given[0] == '\0' || strpbrk(given, " \t\n+") != NULL || given[0] == '-' || (group != NULL && group[0] == '\0'))
    return err_set(err, EINVAL, STAGE, "\"%.100s\" is neither user nor user:group", who);
  /* "-1", "+0" and "4294967296" are no names that somebody gave to a user, but numbers gone wrong. */
  uint32_t ignored;
  if (given[0] >= '0' && given[0] <= '9' && !parse_id(given, &ignored))
    return err_set(err, EINVAL, STAGE, "\"%.100s\" is not a uid", given);
  if (group != NULL && ((group[0] >= '0' && group[0] <= '9' && !parse_id(group, &ignored)) ||
                        strpbrk(group, " \t\n+:") != NULL || group[0] == '-'))
    return err_set(err, EINVAL, STAGE, "\"%.100s\" is not a group", group);

  if (find_user(user, given, name, sizeof name, err) < 0)
    return -1;
  if (group != NULL && find_group(group, &user->gid, err) < 0)
    return -1;
  if (group == NULL && name[0] != '\0' && add_memberships(user, name, err) < 0)
    return -1;
  for (uint32_t i = 0; i < more.count; i++) {
    gid_t gid = 0;
    if (find_group(spec_string(spec, more, i), &gid, err) < 0 || add_group(user, gid, err) < 0)
      return -1;
  }
  return 0;
}
