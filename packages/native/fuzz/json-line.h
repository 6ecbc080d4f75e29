/* Whether text is one JSON object of printable ASCII on one line: a strict reader, as small as the claim. */
#ifndef BERTH_FUZZ_JSON_LINE_H
#define BERTH_FUZZ_JSON_LINE_H

#include <stdbool.h>
#include <stddef.h>

static inline bool is_json_line(const char *text, size_t length)
{
  int depth = 0;
  bool quoted = false;
  if (length < 3 || text[0] != '{' || text[length - 1] != '\n')
    return false;
  for (size_t i = 0; i + 1 < length; i++) {
    char c = text[i];
    if (c < 0x20 || c >= 0x7f)
      return false;
    if (quoted) {
      if (c == '\\') {
        i++;
        if (text[i] != '"' && text[i] != '\\')
          return false;
      } else if (c == '"')
        quoted = false;
    } else if (c == '"')
      quoted = true;
    else if (c == '{')
      depth++;
    else if (c == '}' && --depth == 0 && i + 2 != length)
      return false;
  }
  return depth == 0 && !quoted;
}

#endif
