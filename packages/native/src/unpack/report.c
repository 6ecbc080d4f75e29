/* What went wrong, and with which entry; and lists of paths for the end. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unpack.h"

static int fill(struct unpack_report *report, int number, const char *stage, const char *entry, const char *format,
                va_list arguments)
{
  report->ok = false;
  report->number = number;
  (void)snprintf(report->stage, sizeof report->stage, "%s", stage);
  (void)snprintf(report->entry, sizeof report->entry, "%s", entry);
  (void)vsnprintf(report->detail, sizeof report->detail, format, arguments);
  return -1;
}

int unpack_sys(struct unpack_report *report, const char *stage, const char *entry, const char *format, ...)
{
  int number = errno;
  va_list arguments;
  va_start(arguments, format);
  (void)fill(report, number, stage, entry, format, arguments);
  va_end(arguments);
  return -1;
}

int unpack_bad(struct unpack_report *report, const char *stage, const char *entry, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  (void)fill(report, 0, stage, entry, format, arguments);
  va_end(arguments);
  return -1;
}

void unpack_hex(const unsigned char *bytes, unsigned length, char hex[UNPACK_DIGEST_HEX + 1])
{
  hex[0] = '\0';
  for (unsigned i = 0; i < length && i * 2 < UNPACK_DIGEST_HEX; i++)
    (void)snprintf(hex + (size_t)i * 2, 3, "%02x", bytes[i]);
}

static void print_text(FILE *out, const char *key, const char *text)
{
  (void)fprintf(out, ",\"%s\":\"", key);
  for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
    if (*at < 0x20 || *at == '"' || *at == '\\' || *at >= 0x7f)
      (void)fprintf(out, "\\u%04x", *at);
    else
      (void)fputc(*at, out);
  }
  (void)fprintf(out, "\"");
}

int unpack_print(FILE *out, const struct unpack_report *report)
{
  (void)fprintf(out, "{\"ok\":%s,\"entries\":%llu,\"bytes\":%llu,\"devicesSkipped\":%llu,\"xattrsSkipped\":%llu",
         report->ok ? "true" : "false", (unsigned long long)report->entries, (unsigned long long)report->bytes,
         (unsigned long long)report->devices_skipped, (unsigned long long)report->xattrs_skipped);
  if (report->ok) {
    print_text(out, "digest", report->digest);
    print_text(out, "seal", report->seal);
  } else {
    (void)fprintf(out, ",\"errno\":%d", report->number);
    print_text(out, "stage", report->stage);
    print_text(out, "entry", report->entry);
    print_text(out, "detail", report->detail);
  }
  (void)fprintf(out, "}\n");
  return fflush(out) == 0 ? 0 : -1;
}

int unpack_paths_add(struct unpack_paths *paths, const char *path, const struct timespec *time)
{
  if (paths->count == paths->room) {
    size_t room = paths->room == 0 ? 64 : paths->room * 2;
    char **items = reallocarray(paths->items, room, sizeof *items);
    if (items == NULL)
      return -1;
    paths->items = items;
    struct timespec *times = reallocarray(paths->times, room, sizeof *times);
    if (times == NULL)
      return -1;
    paths->times = times;
    paths->room = room;
  }
  const struct timespec none = { 0, 0 };
  char *copy = strdup(path);
  if (copy == NULL)
    return -1;
  paths->items[paths->count] = copy;
  paths->times[paths->count++] = time == NULL ? none : *time;
  return 0;
}
