/* SPDX-License-Identifier: Apache-2.0 */
#include "te_assembly.h"
#include "te_kernels.h"
#include "te_scalar.h"

/** Depths whose products fit the fields of an accumulator: 16 * 128 * 15 is less than 2^15. */
#define BLOCK 16
/** One half of a byte in both halves of a word: the weights of two outputs, each plus 8. */
#define BOTH 0x000f000fu

/** Sums of products of values and words of weights, two depths each, at most a block.
 *  @param end   Behind the values, of which there are at least two.
 *  @param both  The sums of outputs 0 and 1 in its halves, and those of outputs 2 and 3.
 *  @return Behind the words. */
const uint32_t *te_rows4_s4_scalar(const int8_t *values, const int8_t *end, const uint32_t *stream, uint32_t both[2]);

#if TE_SCALAR_THUMB == 1

/* r0 values, lr their end, r1 words, r2 and r3 sums, r4 a word, r5 a value, r6 two weights, r7 BOTH. 24 instructions for 8
 * multiply-accumulates. */
#define TE_TWO_PRODUCTS(weights, sums) weights "    ands r6, r6, r7\n    muls r6, r5, r6\n    adds " sums ", " sums ", r6\n"
#define TE_VALUE(offset) "    ldrb r5, [r0, #" offset "]\n    sxtb r5, r5\n"

__asm__(
    ".syntax unified\n"
    TE_ASSEMBLY_FUNCTION("te_rows4_s4_scalar")
    "    push {r3-r7, lr}\n"
    "    mov lr, r1\n"
    "    movs r1, r2\n"
    "    movs r2, #0\n"
    "    movs r3, #0\n"
    "    movs r7, #15\n"
    "    lsls r6, r7, #16\n"
    "    orrs r7, r7, r6\n"
    "1:\n"
    "    ldmia r1!, {r4}\n"
    TE_VALUE("0")
    TE_TWO_PRODUCTS("    movs r6, r4\n", "r2")
    TE_TWO_PRODUCTS("    lsrs r6, r4, #4\n", "r3")
    TE_VALUE("1")
    TE_TWO_PRODUCTS("    lsrs r6, r4, #8\n", "r2")
    TE_TWO_PRODUCTS("    lsrs r6, r4, #12\n", "r3")
    "    adds r0, r0, #2\n"
    "    cmp r0, lr\n"
    "    bne 1b\n"
    "    pop {r0}\n"
    "    stmia r0!, {r2, r3}\n"
    "    movs r0, r1\n"
    "    pop {r4-r7, pc}\n"
    "    .size te_rows4_s4_scalar, . - te_rows4_s4_scalar\n"
    "    .text\n");

#elif TE_SCALAR_THUMB == 2

/* The same registers. 13 instructions for 8 multiply-accumulates. */
__asm__(
    ".syntax unified\n"
    TE_ASSEMBLY_FUNCTION("te_rows4_s4_scalar")
    "    push {r3-r7, lr}\n"
    "    mov lr, r1\n"
    "    mov r1, r2\n"
    "    mov r2, #0\n"
    "    mov r3, #0\n"
    "    mov r7, #0x000f000f\n"
    "1:\n"
    "    ldr r4, [r1], #4\n"
    "    ldrsb r5, [r0], #1\n"
    "    and r6, r7, r4\n"
    "    mla r2, r6, r5, r2\n"
    "    and r6, r7, r4, lsr #4\n"
    "    mla r3, r6, r5, r3\n"
    "    ldrsb r5, [r0], #1\n"
    "    and r6, r7, r4, lsr #8\n"
    "    mla r2, r6, r5, r2\n"
    "    and r6, r7, r4, lsr #12\n"
    "    mla r3, r6, r5, r3\n"
    "    cmp r0, lr\n"
    "    bne 1b\n"
    "    pop {r0}\n"
    "    stm r0, {r2, r3}\n"
    "    mov r0, r1\n"
    "    pop {r4-r7, pc}\n"
    "    .size te_rows4_s4_scalar, . - te_rows4_s4_scalar\n"
    "    .text\n");

#else /* The same in C. */

const uint32_t *te_rows4_s4_scalar(const int8_t *values, const int8_t *end, const uint32_t *stream, uint32_t both[2]) {
    both[0] = 0;
    both[1] = 0;
    for (; values != end; values += 2) {
        const uint32_t first = (uint32_t)(int32_t)values[0];
        const uint32_t second = (uint32_t)(int32_t)values[1];
        const uint32_t word = *stream++;
        both[0] += first * (word & BOTH) + second * ((word >> 8) & BOTH);
        both[1] += first * ((word >> 4) & BOTH) + second * ((word >> 12) & BOTH);
    }
    return stream;
}

#endif

/** Adds both fields of an accumulator to two sums. */
static inline void spill(uint32_t both, int32_t sums[2]) {
    const int32_t lower = (int16_t)(both & 0xffffu);
    sums[0] += lower;
    sums[1] += (int32_t)(both - (uint32_t)lower) >> 16;
}

/** What the weights of four outputs, each plus 8, make of a row.
 *  @return Behind their words. */
static const uint32_t *sum_row(const int8_t *values, int32_t depth, const uint32_t *stream, int32_t sums[TE_SCALAR_SUMS]) {
    const int8_t *const even = values + (depth & ~1);
    while (values != even) {
        const int8_t *const end = even - values > BLOCK ? values + BLOCK : even;
        uint32_t both[2];
        stream = te_rows4_s4_scalar(values, end, stream, both);
        spill(both[0], sums);
        spill(both[1], sums + 2);
        values = end;
    }
    if ((depth & 1) != 0) {
        const uint32_t value = (uint32_t)(int32_t)*values;
        spill(value * (*stream & BOTH), sums);
        spill(value * ((*stream >> 4) & BOTH), sums + 2);
        ++stream;
    }
    return stream;
}

static void make_row(const te_fully_connected_scalar_params *params, const int8_t *input, int8_t *output) {
    const te_scalar_range range = {2 * params->output_zero_point + 1, params->output_min, params->output_max};
    const uint32_t *stream = params->packed;
    int32_t above = 0; /* What the 8 of each weight adds to a sum. */
    for (int32_t i = 0; i < params->in_c; ++i) {
        above += 8 * input[i];
    }
    for (int32_t channel = 0; channel < params->out_c; channel += TE_SCALAR_SUMS) {
        const int32_t left = params->out_c - channel;
        int32_t sums[TE_SCALAR_SUMS] = {-above, -above, -above, -above};
        stream = sum_row(input, params->in_c, stream, sums);
        for (int32_t i = 0; i < TE_SCALAR_SUMS && i < left; ++i) {
            const int32_t multiplier = (int32_t)stream[TE_SCALAR_SUMS + i];
            output[channel + i] =
                te_output_scalar(&range, sums[i] + (int32_t)stream[i], multiplier, params->shifts[channel + i]);
        }
        stream += TE_SCALAR_REQUANTISATION_WORDS * TE_SCALAR_SUMS;
    }
}

void te_fully_connected_s4_scalar(const te_fully_connected_scalar_params *params, const int8_t *input, int8_t *output,
                                  void *scratch) {
    (void)scratch;
    for (int32_t row = 0; row < params->batches; ++row) {
        make_row(params, input, output);
        input += params->in_c;
        output += params->out_c;
    }
}
