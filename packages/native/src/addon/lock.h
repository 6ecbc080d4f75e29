// Waits for the lock of a state directory, on a thread of the pool.
#pragma once

#include <cstdint>
#include <string>

// A descriptor that holds it, or -errno. The kernel wakes up who waits in flock(2), but a signal is all that could end
// such a wait; so it is asked, rarely enough to cost nothing and often enough to follow a supervisor that is just leaving.
int take_soon(int root, const std::string& id, int64_t patience_us);

// Microseconds of CLOCK_MONOTONIC.
int64_t now_us();
