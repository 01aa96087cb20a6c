/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_nibbles.h
 *  Weights of 4 bits, two a byte, the first in the lower half. */
#ifndef TE_NIBBLES_H
#define TE_NIBBLES_H

#include <stdint.h>

/** The value of the byte's lower half. */
static inline int32_t te_low_nibble(int8_t byte) {
    return (((int32_t)byte & 15) ^ 8) - 8;
}

/** The value of the byte's upper half. */
static inline int32_t te_high_nibble(int8_t byte) {
    return byte >> 4;
}

/** The value at a position, of the halves of all bytes. */
static inline int32_t te_nibble(const int8_t *bytes, int32_t position) {
    const int8_t byte = bytes[position >> 1];
    return (position & 1) != 0 ? te_high_nibble(byte) : te_low_nibble(byte);
}

#endif /* TE_NIBBLES_H */
