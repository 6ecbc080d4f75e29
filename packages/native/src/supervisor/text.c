#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct out {
  char *text;
  size_t room; /* without the NUL */
  size_t used;
};

struct conversion {
  bool zero;
  size_t width;
  size_t precision; /* SIZE_MAX: none */
  char size;        /* 0, 'l' (also ll) or 'z' */
  char kind;
};

static void put(struct out *out, const char *text, size_t length)
{
  if (length > out->room - out->used)
    length = out->room - out->used;
  memcpy(out->text + out->used, text, length);
  out->used += length;
}

static void put_padded(struct out *out, const struct conversion *as, bool negative, const char *text, size_t length)
{
  size_t total = length + (negative ? 1 : 0);
  for (size_t i = total; !as->zero && i < as->width; i++)
    put(out, " ", 1);
  if (negative)
    put(out, "-", 1);
  for (size_t i = total; as->zero && i < as->width; i++)
    put(out, "0", 1);
  put(out, text, length);
}

static void put_number(struct out *out, const struct conversion *as, uint64_t value, bool negative)
{
  char digits[24];
  unsigned base = as->kind == 'x' ? 16 : as->kind == 'o' ? 8 : 10;
  size_t at = sizeof digits;
  do {
    digits[--at] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  put_padded(out, as, negative, digits + at, sizeof digits - at);
}

/* The part of a conversion after its '%'; returns what follows it. */
static const char *parse(const char *at, struct conversion *as, int star)
{
  *as = (struct conversion){ .precision = SIZE_MAX };
  if (*at == '0')
    as->zero = true;
  while (*at >= '0' && *at <= '9')
    as->width = as->width * 10 + (size_t)(*at++ - '0');
  if (*at == '.') {
    at++;
    as->precision = 0;
    if (*at == '*') {
      as->precision = star < 0 ? SIZE_MAX : (size_t)star;
      at++;
    }
    while (*at >= '0' && *at <= '9')
      as->precision = as->precision * 10 + (size_t)(*at++ - '0');
  }
  for (; *at == 'l' || *at == 'z'; at++)
    as->size = *at;
  as->kind = *at;
  return *at == '\0' ? at : at + 1;
}

static bool has_star(const char *at)
{
  while (*at >= '0' && *at <= '9')
    at++;
  return at[0] == '.' && at[1] == '*';
}

size_t text_vformat(char *text, size_t size, const char *format, va_list args)
{
  struct out out = { .text = text, .room = size - 1 };
  if (size == 0)
    return 0;
  while (*format != '\0') {
    const char *percent = strchr(format, '%');
    if (percent == NULL) {
      put(&out, format, strlen(format));
      break;
    }
    put(&out, format, (size_t)(percent - format));
    struct conversion as;
    format = parse(percent + 1, &as, has_star(percent + 1) ? va_arg(args, int) : 0);
    if (as.kind == 's') {
      const char *string = va_arg(args, const char *);
      put_padded(&out, &as, false, string, strnlen(string, as.precision));
    } else if (as.kind == 'c') {
      char c = (char)va_arg(args, int);
      put(&out, &c, 1);
    } else if (as.kind == 'd') {
      int64_t value = as.size == 0 ? va_arg(args, int) : va_arg(args, int64_t);
      put_number(&out, &as, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
    } else if (as.kind == 'u' || as.kind == 'x' || as.kind == 'o') {
      put_number(&out, &as, as.size == 0 ? va_arg(args, unsigned) : va_arg(args, uint64_t), false);
    } else if (as.kind == '%')
      put(&out, "%", 1);
    else
      put(&out, percent, (size_t)(format - percent));
  }
  text[out.used] = '\0';
  return out.used;
}

size_t text_format(char *out, size_t size, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  size_t length = text_vformat(out, size, format, args);
  va_end(args);
  return length;
}
