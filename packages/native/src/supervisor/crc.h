#ifndef BERTH_CRC_H
#define BERTH_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc`, which begins as 0. */
uint32_t crc32(uint32_t crc, const void *data, size_t length);

#endif
