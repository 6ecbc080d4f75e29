/* The last thing a supervisor does. */
#ifndef BERTH_END_H
#define BERTH_END_H

#include <stdbool.h>

/* Init has been waited for. Judges what is known, writes it, tells it, and leaves nothing of the container: false when
   cgroups of it could not be removed. */
bool end_tell(void);

#endif
