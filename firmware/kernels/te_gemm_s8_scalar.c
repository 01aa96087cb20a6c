/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_s8_scalar.h"

#include "te_assembly.h"
#include "te_sums_scalar.h"

#define TE_SUMS4 te_sums4_s8_scalar
#include "te_gemm_channels_scalar.h"

#if TE_SCALAR_THUMB == 1

__asm__(
    ".syntax unified\n"
    TE_SUMS4_BEGIN("te_sums4_s8_scalar", "9")
    "1:\n"
    "    ldmia r1!, {r2}\n"
    TE_TWO_DEPTHS("    sxtb r7, r2\n", "    asrs r2, r2, #8\n    sxtb r7, r2\n")
    "    asrs r2, r2, #8\n"
    TE_TWO_DEPTHS("    sxtb r7, r2\n", "    asrs r7, r2, #8\n")
    "    cmp r1, lr\n"
    "    bne 1b\n"
    TE_SUMS4_END("te_sums4_s8_scalar")

    /* r0 the end of the values and r1-r4 those of the rows, r5 from there to the next value, r6 it, r7 a weight; r8-r11
     * sums. 15 instructions for 4 multiply-accumulates. */
    TE_ASSEMBLY_FUNCTION("te_dots4_s8_scalar")
    "    push {r3-r7, lr}\n"
    "    mov r4, r8\n"
    "    mov r5, r9\n"
    "    mov r6, r10\n"
    "    mov r7, r11\n"
    "    push {r4-r7}\n"
    "    mov r7, r1\n"
    "    rsbs r5, r2, #0\n"
    "    adds r0, r0, r2\n"
    "    mov r6, r2\n"
    "    ldmia r7!, {r1-r4}\n"
    "    adds r1, r1, r6\n"
    "    adds r2, r2, r6\n"
    "    adds r3, r3, r6\n"
    "    adds r4, r4, r6\n"
    "    movs r6, #0\n"
    "    mov r8, r6\n"
    "    mov r9, r6\n"
    "    mov r10, r6\n"
    "    mov r11, r6\n"
    "1:\n"
    "    ldrsb r6, [r0, r5]\n"
    "    ldrsb r7, [r1, r5]\n"
    "    muls r7, r6, r7\n"
    "    add r8, r8, r7\n"
    "    ldrsb r7, [r2, r5]\n"
    "    muls r7, r6, r7\n"
    "    add r9, r9, r7\n"
    "    ldrsb r7, [r3, r5]\n"
    "    muls r7, r6, r7\n"
    "    add r10, r10, r7\n"
    "    ldrsb r7, [r4, r5]\n"
    "    muls r7, r6, r7\n"
    "    add r11, r11, r7\n"
    "    adds r5, r5, #1\n"
    "    bne 1b\n"
    "    ldr r0, [sp, #16]\n"
    "    mov r1, r8\n"
    "    mov r2, r9\n"
    "    mov r3, r10\n"
    "    mov r4, r11\n"
    "    stmia r0!, {r1-r4}\n"
    "    pop {r4-r7}\n"
    "    mov r8, r4\n"
    "    mov r9, r5\n"
    "    mov r10, r6\n"
    "    mov r11, r7\n"
    "    pop {r3-r7, pc}\n"
    "    .size te_dots4_s8_scalar, . - te_dots4_s8_scalar\n"
    "    .text\n");

#elif TE_SCALAR_THUMB == 2

#define TE_TWO_BYTES                \
    "    ldrsb r12, [r1], #1\n"     \
    "    ldrsb lr, [r1], #1\n"

__asm__(
    ".syntax unified\n"
    TE_SUMS4_BEGIN("te_sums4_s8_scalar", "9")
    "1:\n"
    TE_TWO_DEPTHS(TE_TWO_BYTES)
    TE_TWO_DEPTHS(TE_TWO_BYTES)
    "    cmp r1, r2\n"
    "    bne 1b\n"
    TE_SUMS4_END("te_sums4_s8_scalar")

    /* r0 values, r1 and r4-r6 rows, r2 how many are left, r7 a value, r8 a weight; r9-r12 sums. Two values take 20
     * instructions, for 8 multiply-accumulates. */
    TE_ASSEMBLY_FUNCTION("te_dots4_s8_scalar")
    "    push {r3-r11, lr}\n"
    "    ldrd r4, r5, [r1, #4]\n"
    "    ldr r6, [r1, #12]\n"
    "    ldr r1, [r1]\n"
    "    mov r9, #0\n"
    "    mov r10, #0\n"
    "    mov r11, #0\n"
    "    mov r12, #0\n"
    "1:\n"
    "    ldrsb r7, [r0], #1\n"
    "    ldrsb r8, [r1], #1\n"
    "    ldrsb r3, [r4], #1\n"
    "    ldrsb lr, [r5], #1\n"
    "    mla r9, r7, r8, r9\n"
    "    ldrsb r8, [r6], #1\n"
    "    mla r10, r7, r3, r10\n"
    "    mla r11, r7, lr, r11\n"
    "    mla r12, r7, r8, r12\n"
    "    subs r2, r2, #1\n"
    "    bne 1b\n"
    "    pop {r0}\n"
    "    stm r0, {r9-r12}\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_dots4_s8_scalar, . - te_dots4_s8_scalar\n"
    "    .text\n");

#else /* The same in C. */

void te_sums4_s8_scalar(const uint32_t *columns, const uint32_t *row, int32_t words, int32_t sums[TE_SCALAR_SUMS]) {
    const int8_t *const weights = (const int8_t *)row;
    for (int32_t pair = 0; pair < 2; ++pair) {
        uint32_t whole = 0;
        uint32_t upper = 0;
        for (int32_t depth = 0; depth < 4 * words; depth += 2) {
            const uint32_t *const word = columns + 2 * depth + pair;
            const int32_t first = weights[depth];
            const int32_t second = weights[depth + 1];
            const uint32_t both = word[0] * (uint32_t)first + word[2] * (uint32_t)second;
            whole += both;
            upper += ((both + TE_FIELD_OFFSETS) >> 16) - TE_FIELD_OFFSET;
        }
        sums[2 * pair] = (int32_t)(whole - (upper << 16));
        sums[2 * pair + 1] = (int32_t)upper;
    }
}

void te_dots4_s8_scalar(const int8_t *values, const int8_t *const rows[4], int32_t count, int32_t sums[4]) {
    for (int32_t row = 0; row < 4; ++row) {
        int32_t sum = 0;
        for (int32_t i = 0; i < count; ++i) {
            sum += values[i] * rows[row][i];
        }
        sums[row] = sum;
    }
}

#endif

void te_gemm4_s8_scalar(const te_gemm_s8_scalar *gemm, const uint32_t *streams, const int8_t *shifts, int32_t channels,
                        const uint32_t *columns, int8_t *output, int32_t pixels) {
    te_gemm_channels_scalar(gemm, streams, shifts, channels, columns, output, pixels);
}

void te_gemm1_s8_scalar(const te_gemm_s8_scalar *gemm, const uint32_t *streams, const int8_t *shifts, int32_t channels,
                        const int8_t *pixel, int32_t depth, int8_t *output) {
    const int32_t stream = gemm->words + TE_SCALAR_REQUANTISATION_WORDS;
    for (int32_t left = channels; left > 0; left -= 4) {
        const int8_t *rows[4];
        int32_t sums[4];
        for (int32_t i = 0; i < 4; ++i) {
            rows[i] = (const int8_t *)(i < left ? streams + i * stream : streams);
        }
        te_dots4_s8_scalar(pixel, rows, depth, sums);
        for (int32_t i = 0; i < 4 && i < left; ++i) {
            const int32_t bias = (int32_t)streams[gemm->words];
            *output++ = te_output_scalar(&gemm->range, sums[i] + bias, (int32_t)streams[gemm->words + 1], *shifts++);
            streams += stream;
        }
    }
}

/* Every second word of the columns: those of two of the pixels. */
static void write_pairs(uint32_t *columns, const int8_t *first, const int8_t *second, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
        *columns = (uint32_t)(int32_t)first[i] + ((uint32_t)(int32_t)second[i] << 16);
        columns += 2;
    }
}

uint32_t *te_columns4_s8_scalar(uint32_t *columns, const int8_t *const pixels[TE_SCALAR_SUMS], int32_t count) {
    write_pairs(columns, pixels[0], pixels[1], count);
    write_pairs(columns + 1, pixels[2], pixels[3], count);
    return columns + 2 * count;
}
