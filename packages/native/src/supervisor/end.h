/* The last thing a supervisor does. */
#ifndef BERTH_END_H
#define BERTH_END_H

/* Init has been waited for. Judges what is known, writes it, tells it, and leaves nothing of the container. */
void end_tell(void);

#endif
