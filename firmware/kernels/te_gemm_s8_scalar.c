/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_s8_scalar.h"

#include "te_assembly.h"

/* What makes the sum of two products of int8 values a number without a sign, and that in both fields. */
#define TE_FIELD_OFFSET 32512
#define TE_FIELD_OFFSETS 0x7F007F00u

#if TE_SCALAR_THUMB == 1

/* r0 columns, r1 weights, lr their end, r2 four of them, r7 one, r3-r6 the words of two depths; r8 and r10 whole sums,
 * r9 and r11 upper ones, r12 the offsets. 19 instructions for 8 multiply-accumulates. */
#define TE_TWO_DEPTHS(first_weight, second_weight) \
    "    ldmia r0!, {r3-r6}\n" first_weight        \
    "    muls r3, r7, r3\n"                        \
    "    muls r4, r7, r4\n" second_weight          \
    "    muls r5, r7, r5\n"                        \
    "    muls r6, r7, r6\n"                        \
    "    adds r3, r3, r5\n"                        \
    "    adds r4, r4, r6\n"                        \
    "    add r8, r8, r3\n"                         \
    "    add r10, r10, r4\n"                       \
    "    add r3, r3, r12\n"                        \
    "    add r4, r4, r12\n"                        \
    "    lsrs r3, r3, #16\n"                       \
    "    lsrs r4, r4, #16\n"                       \
    "    add r9, r9, r3\n"                         \
    "    add r11, r11, r4\n"

__asm__(
    ".syntax unified\n"
    TE_ASSEMBLY_FUNCTION("te_sums4_s8_scalar")
    "    push {r3-r7, lr}\n"
    "    mov r4, r8\n"
    "    mov r5, r9\n"
    "    mov r6, r10\n"
    "    mov r7, r11\n"
    "    push {r4-r7}\n"
    "    movs r4, #127\n"
    "    lsls r5, r4, #9\n" /* Two fields' offsets, times four weights' words. */
    "    muls r5, r2, r5\n"
    "    rsbs r5, r5, #0\n"
    "    mov r9, r5\n"
    "    mov r11, r5\n"
    "    lsls r3, r4, #24\n"
    "    lsls r4, r4, #8\n"
    "    orrs r4, r4, r3\n"
    "    mov r12, r4\n"
    "    movs r5, #0\n"
    "    mov r8, r5\n"
    "    mov r10, r5\n"
    "    lsls r2, r2, #2\n"
    "    adds r2, r1, r2\n"
    "    mov lr, r2\n"
    "1:\n"
    "    ldmia r1!, {r2}\n"
    TE_TWO_DEPTHS("    sxtb r7, r2\n", "    asrs r2, r2, #8\n    sxtb r7, r2\n")
    "    asrs r2, r2, #8\n"
    TE_TWO_DEPTHS("    sxtb r7, r2\n", "    asrs r7, r2, #8\n")
    "    cmp r1, lr\n"
    "    bne 1b\n"
    "    ldr r0, [sp, #16]\n"
    "    mov r1, r8\n"
    "    mov r2, r9\n"
    "    lsls r3, r2, #16\n"
    "    subs r1, r1, r3\n"
    "    mov r3, r10\n"
    "    mov r4, r11\n"
    "    lsls r5, r4, #16\n"
    "    subs r3, r3, r5\n"
    "    stmia r0!, {r1-r4}\n"
    "    pop {r4-r7}\n"
    "    mov r8, r4\n"
    "    mov r9, r5\n"
    "    mov r10, r6\n"
    "    mov r11, r7\n"
    "    pop {r3-r7, pc}\n"
    "    .size te_sums4_s8_scalar, . - te_sums4_s8_scalar\n"

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

/* r0 columns, r1 weights, r2 their end, r12 one of them, r8-r11 the words of two depths, r3 products; r4 and r6 whole
 * sums, r5 and r7 upper ones. 13 instructions for 8 multiply-accumulates. */
#define TE_TWO_DEPTHS                   \
    "    ldrsb r12, [r1], #1\n"         \
    "    ldrsb lr, [r1], #1\n"          \
    "    ldm r0!, {r8-r11}\n"           \
    "    mul r3, r8, r12\n"             \
    "    mla r3, r10, lr, r3\n"         \
    "    mul r8, r9, r12\n"             \
    "    mla r8, r11, lr, r8\n"         \
    "    add r4, r4, r3\n"              \
    "    add r3, r3, #0x7F007F00\n"     \
    "    add r5, r5, r3, lsr #16\n"     \
    "    add r6, r6, r8\n"              \
    "    add r8, r8, #0x7F007F00\n"     \
    "    add r7, r7, r8, lsr #16\n"

__asm__(
    ".syntax unified\n"
    TE_ASSEMBLY_FUNCTION("te_sums4_s8_scalar")
    "    push {r3-r11, lr}\n"
    "    movw r5, #65024\n" /* Two fields' offsets, times four weights' words. */
    "    mul r5, r2, r5\n"
    "    rsb r5, r5, #0\n"
    "    mov r7, r5\n"
    "    mov r4, #0\n"
    "    mov r6, #0\n"
    "    add r2, r1, r2, lsl #2\n"
    "1:\n"
    TE_TWO_DEPTHS
    TE_TWO_DEPTHS
    "    cmp r1, r2\n"
    "    bne 1b\n"
    "    pop {r0}\n"
    "    sub r4, r4, r5, lsl #16\n"
    "    sub r6, r6, r7, lsl #16\n"
    "    stm r0, {r4-r7}\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_sums4_s8_scalar, . - te_sums4_s8_scalar\n"

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
    for (int32_t channel = 0; channel < channels; ++channel) {
        int32_t sums[TE_SCALAR_SUMS];
        te_sums4_s8_scalar(columns, streams, gemm->words, sums);
        streams += gemm->words;
        const int32_t bias = (int32_t)streams[0];
        const int32_t multiplier = (int32_t)streams[1];
        const int32_t shift = shifts[channel];
        int8_t *at = output + channel;
        for (int32_t pixel = 0; pixel < pixels; ++pixel) {
            *at = te_output_scalar(&gemm->range, sums[pixel] + bias, multiplier, shift);
            at += gemm->out_stride;
        }
        streams += TE_SCALAR_REQUANTISATION_WORDS;
    }
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
