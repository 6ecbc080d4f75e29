/* `berth-supervisor --check-spec`: decodes a spec from standard input and prints what it understood. For tests. */
#ifndef BERTH_CHECK_H
#define BERTH_CHECK_H

int check_spec_main(void);

#endif
