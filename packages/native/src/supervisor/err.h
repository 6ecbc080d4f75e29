/* A failure: which step, which errno (0 when the kernel was not involved), about what. Plain bytes: it crosses sockets. */
#ifndef BERTH_ERR_H
#define BERTH_ERR_H

struct err {
  int number;
  char stage[32];
  char detail[220];
};

/* Fill `err` and return -1, so that callers can write `return err_sys(...)`. err_sys takes errno as it is now. */
int err_sys(struct err *err, const char *stage, const char *format, ...) __attribute__((format(printf, 3, 4)));
int err_set(struct err *err, int number, const char *stage, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Appends what it was about to the detail of `err`. */
void err_about(struct err *err, const char *what);

#endif
