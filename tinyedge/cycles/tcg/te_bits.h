/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_bits.h
 *  Fields of instructions. */
#ifndef TE_BITS_H
#define TE_BITS_H

#include <stdint.h>

/** @return The bits of a word from `high` down to `low`, both included. */
static inline uint32_t te_bits(uint32_t word, unsigned high, unsigned low) {
    return (word >> low) & ((1u << (high - low + 1u)) - 1u);
}

/** @return The set that one core register makes up. */
static inline uint16_t te_reg(uint32_t number) {
    return (uint16_t)(1u << number);
}

/** @return The set that one vector register makes up. */
static inline uint8_t te_vector(uint32_t number) {
    return (uint8_t)(1u << number);
}

#endif /* TE_BITS_H */
