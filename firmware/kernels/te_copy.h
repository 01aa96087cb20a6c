/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_copy.h
 *  Copies of a few bytes to a few thousand: the memcpy() of newlib-nano, with which firmware is linked, goes byte by
 *  byte, and a call of it costs more than the pixel that is moved. */
#ifndef TE_COPY_H
#define TE_COPY_H

#include <stdint.h>
#include <string.h>

/** Copies bytes from one place to another, at any addresses; the two do not overlap. */
static inline void te_copy(void *to, const void *from, int32_t bytes) {
    int8_t *output = (int8_t *)to;
    const int8_t *input = (const int8_t *)from;
    for (; bytes >= 16; bytes -= 16) {
        memcpy(output, input, 16); /* Of a constant size: instructions, and no call. */
        output += 16;
        input += 16;
    }
    for (; bytes >= 4; bytes -= 4) {
        memcpy(output, input, 4);
        output += 4;
        input += 4;
    }
    for (; bytes > 0; --bytes) {
        *output++ = *input++;
    }
}

/** Copies rows of bytes, each so many bytes after the one before; to any addresses that do not overlap. */
static inline void te_copy_rows(void *to, int32_t to_step, const void *from, int32_t from_step, int32_t bytes,
                                int32_t rows) {
    int8_t *output = (int8_t *)to;
    const int8_t *input = (const int8_t *)from;
    if (bytes >= 4) {
        for (int32_t row = 0; row < rows; ++row) {
            te_copy(output, input, bytes);
            output += to_step;
            input += from_step;
        }
        return;
    }
    for (int32_t column = 0; column < bytes; ++column) { /* Shorter than the loops of te_copy(). */
        int8_t *at = output + column;
        const int8_t *value = input + column;
        for (int32_t row = 0; row < rows; ++row) {
            *at = *value;
            at += to_step;
            value += from_step;
        }
    }
}

#endif /* TE_COPY_H */
