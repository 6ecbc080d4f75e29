/* What only the program may know: files in memory, nowhere on the host. */
#ifndef BERTH_SECRETS_H
#define BERTH_SECRETS_H

#include "err.h"
#include "spec.h"
#include "users.h"

/* In init, when "/" is the container's and may still be written, and it is known who the program will be. */
int secrets_mount(const struct spec *spec, const struct user *owner, struct err *err);

#endif
