#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "text.h"

static void fill(struct err *err, int number, const char *stage, const char *format, va_list args)
{
  memset(err, 0, sizeof *err);
  err->number = number;
  (void)text_format(err->stage, sizeof err->stage, "%s", stage);
  (void)text_vformat(err->detail, sizeof err->detail, format, args);
}

int err_sys(struct err *err, const char *stage, const char *format, ...)
{
  int number = errno;
  va_list args;
  va_start(args, format);
  fill(err, number, stage, format, args);
  va_end(args);
  return -1;
}

int err_set(struct err *err, int number, const char *stage, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  fill(err, number, stage, format, args);
  va_end(args);
  return -1;
}

void err_about(struct err *err, const char *what)
{
  size_t length = strlen(err->detail);
  (void)text_format(err->detail + length, sizeof err->detail - length, " for %s", what);
}
