#include "spec_check.h"

#include <errno.h>
#include <string.h>

int check_bytes(const struct spec *spec, const char *field, struct berth_ref ref, uint32_t most, struct err *err)
{
  if (ref.length > most)
    return err_set(err, EINVAL, STAGE_SPEC, "%s: %u bytes, allowed are %u", field, ref.length, most);
  if (ref.offset < sizeof(struct berth_spec) || ref.offset >= spec->size || spec->size - ref.offset <= ref.length)
    return err_set(err, EINVAL, STAGE_SPEC, "%s: lies outside of the spec", field);
  return spec_text(spec, ref)[ref.length] == '\0' ? 0
                                                  : err_set(err, EINVAL, STAGE_SPEC, "%s: has no end", field);
}

int check_text(const struct spec *spec, const char *field, struct berth_ref ref, uint32_t least, uint32_t most,
               struct err *err)
{
  if (ref.length < least || ref.length > most)
    return err_set(err, EINVAL, STAGE_SPEC, "%s: length %u is not in %u..%u", field, ref.length, least, most);
  if (ref.offset < sizeof(struct berth_spec) || ref.offset >= spec->size || spec->size - ref.offset <= ref.length)
    return err_set(err, EINVAL, STAGE_SPEC, "%s: lies outside of the spec", field);
  const char *text = spec_text(spec, ref);
  if (text[ref.length] != '\0' || memchr(text, '\0', ref.length) != NULL)
    return err_set(err, EINVAL, STAGE_SPEC, "%s: is not a NUL-terminated string", field);
  return 0;
}

int check_path(const struct spec *spec, const char *field, struct berth_ref ref, struct err *err)
{
  if (check_text(spec, field, ref, 1, BERTH_MAX_PATH, err) < 0)
    return -1;
  const char *path = spec_text(spec, ref);
  if (path[0] != '/')
    return err_set(err, EINVAL, STAGE_SPEC, "%s: \"%.100s\" is not an absolute path", field, path);
  for (const char *part = path; part != NULL; part = strchr(part + 1, '/'))
    if (part[1] == '.' && part[2] == '.' && (part[3] == '/' || part[3] == '\0'))
      return err_set(err, EINVAL, STAGE_SPEC, "%s: \"%.100s\" contains \"..\"", field, path);
  return 0;
}

int check_list(const struct spec *spec, const char *field, struct berth_list list, size_t item, uint32_t least,
               uint32_t most, struct err *err)
{
  if (list.count < least || list.count > most)
    return err_set(err, EINVAL, STAGE_SPEC, "%s: %u entries, allowed are %u..%u", field, list.count, least, most);
  if (list.count == 0)
    return 0;
  if (list.offset % 8 != 0 || list.offset < sizeof(struct berth_spec) || list.offset > spec->size ||
      (spec->size - list.offset) / item < list.count)
    return err_set(err, EINVAL, STAGE_SPEC, "%s: lies outside of the spec", field);
  return 0;
}

int check_strings(const struct spec *spec, const char *field, struct berth_list list, bool paths, uint32_t least,
                  uint32_t most, struct err *err)
{
  if (check_list(spec, field, list, sizeof(struct berth_ref), least, most, err) < 0)
    return -1;
  const struct berth_ref *refs = spec_at(spec, list.offset);
  for (uint32_t i = 0; i < list.count; i++) {
    int failed = paths ? check_path(spec, field, refs[i], err)
                       : check_text(spec, field, refs[i], 0, BERTH_MAX_STRING, err);
    if (failed < 0)
      return -1;
  }
  return 0;
}

bool check_is_name(const char *text, const char *also)
{
  for (; *text != '\0'; text++) {
    bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (*text >= '0' && *text <= '9');
    if (!plain && strchr(also, *text) == NULL)
      return false;
  }
  return true;
}

/* The next part of a path that is neither empty nor "."; its length, 0 at the end. */
static size_t next_part(const char **path)
{
  for (;;) {
    *path += strspn(*path, "/");
    size_t length = strcspn(*path, "/");
    if (length != 1 || **path != '.')
      return length;
    (*path)++;
  }
}

/* 0: different; 1: the same; 2: `path` lies below `top`. */
static int compare(const char *path, const char *top)
{
  for (;;) {
    size_t wanted = next_part(&top);
    size_t length = next_part(&path);
    if (wanted == 0)
      return length == 0 ? 1 : 2;
    if (length != wanted || strncmp(path, top, length) != 0)
      return 0;
    path += length;
    top += length;
  }
}

bool check_is_below(const char *path, const char *top)
{
  return compare(path, top) != 0;
}

bool check_is_same(const char *path, const char *other)
{
  return compare(path, other) == 1;
}
