/* The checks that every part of a spec consists of. Each fails with an error that names the field. */
#ifndef BERTH_SPEC_CHECK_H
#define BERTH_SPEC_CHECK_H

#include <stdbool.h>

#include "spec.h"

#define STAGE_SPEC "spec"

/* A NUL-terminated string of `least` to `most` bytes inside the spec. */
int check_text(const struct spec *spec, const char *field, struct berth_ref ref, uint32_t least, uint32_t most,
               struct err *err);
/* Any bytes, at most `most` of them, inside the spec, with a NUL behind them. */
int check_bytes(const struct spec *spec, const char *field, struct berth_ref ref, uint32_t most, struct err *err);
/* Absolute; ".." would make the meaning depend on symbolic links, so it is refused instead of interpreted. */
int check_path(const struct spec *spec, const char *field, struct berth_ref ref, struct err *err);
/* `least` to `most` items of `item` bytes inside the spec, aligned. */
int check_list(const struct spec *spec, const char *field, struct berth_list list, size_t item, uint32_t least,
               uint32_t most, struct err *err);
/* A list of strings; with `paths` of absolute paths. */
int check_strings(const struct spec *spec, const char *field, struct berth_list list, bool paths, uint32_t least,
                  uint32_t most, struct err *err);
/* Letters and digits, and the characters of `also`. */
bool check_is_name(const char *text, const char *also);
/* True when `path` is `top` or lies below it; both start with a slash. Understands "//" and "/./". */
bool check_is_below(const char *path, const char *top);
/* True when both name the same place in the same words, whatever slashes and single dots are in between. */
bool check_is_same(const char *path, const char *other);

int check_network(const struct spec *spec, struct err *err);
int check_mounts(const struct spec *spec, struct err *err);
/* All of the optional sections, absent or not. */
int check_sections(const struct spec *spec, struct err *err);

#endif
