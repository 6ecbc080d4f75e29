/* printf for error texts that may be written between vfork and exec: no lock, no allocation, no locale. */
#ifndef BERTH_TEXT_H
#define BERTH_TEXT_H

#include <stdarg.h>
#include <stddef.h>

/*
 * Knows %s with a precision, %c, %d, %u, %x and %o with 0 and a width in front and l, ll or z, and %%. Anything else is
 * copied as it stands. Always ends with NUL; what does not fit is left out. Returns the length that was written.
 */
size_t text_vformat(char *out, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));
size_t text_format(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
