/* SPDX-License-Identifier: Apache-2.0 */
#include "te_taps_s8_scalar.h"

#include "te_assembly.h"

#if TE_SCALAR_THUMB == 1

/* r0-r3 the first taps of four windows, r4 from there to this one, r5 weights, r6 a value, r7 a weight; r8-r11 sums, r12
 * the step, lr the end of the row's weights. 18 instructions for 4 multiply-accumulates. On the stack: the skip, the
 * end of all weights, the width. */
__asm__(
    ".syntax unified\n"
    TE_ASSEMBLY_FUNCTION("te_taps4_s8_scalar")
    "    push {r3-r7, lr}\n"
    "    mov r4, r8\n"
    "    mov r5, r9\n"
    "    mov r6, r10\n"
    "    mov r7, r11\n"
    "    push {r4-r7}\n"
    "    ldmia r0!, {r3-r7}\n" /* rows, width, step, skip, next */
    "    muls r3, r4, r3\n"
    "    adds r3, r2, r3\n"
    "    mov r12, r5\n"
    "    mov r5, r2\n"
    "    mov r2, r6\n"
    "    push {r2-r4}\n"
    "    adds r4, r5, r4\n"
    "    mov lr, r4\n"
    "    mov r0, r1\n"
    "    adds r1, r0, r7\n"
    "    adds r2, r1, r7\n"
    "    adds r3, r2, r7\n"
    "    movs r4, #0\n"
    "    mov r8, r4\n"
    "    mov r9, r4\n"
    "    mov r10, r4\n"
    "    mov r11, r4\n"
    "1:\n"
    "    ldrb r7, [r5]\n"
    "    sxtb r7, r7\n"
    "    ldrsb r6, [r0, r4]\n"
    "    muls r6, r7, r6\n"
    "    add r8, r8, r6\n"
    "    ldrsb r6, [r1, r4]\n"
    "    muls r6, r7, r6\n"
    "    add r9, r9, r6\n"
    "    ldrsb r6, [r2, r4]\n"
    "    muls r6, r7, r6\n"
    "    add r10, r10, r6\n"
    "    ldrsb r6, [r3, r4]\n"
    "    muls r6, r7, r6\n"
    "    add r11, r11, r6\n"
    "    add r4, r4, r12\n"
    "    adds r5, r5, #1\n"
    "    cmp r5, lr\n"
    "    bne 1b\n"
    "    ldr r6, [sp]\n"
    "    adds r4, r4, r6\n"
    "    ldr r6, [sp, #8]\n"
    "    add lr, lr, r6\n"
    "    ldr r6, [sp, #4]\n"
    "    cmp r5, r6\n"
    "    bne 1b\n"
    "    add sp, #12\n"
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
    "    .size te_taps4_s8_scalar, . - te_taps4_s8_scalar\n"
    "    .text\n");

#elif TE_SCALAR_THUMB == 2

/* r0 and r3-r5 the first taps of four windows, lr from there to this one, r2 the weights, r1 their end in this row, r10 a
 * weight, r11 a value, r12 the step; r6-r9 sums. 12 instructions for 4 multiply-accumulates. On the stack: the width, rows
 * left, the skip. */
__asm__(
    ".syntax unified\n"
    TE_ASSEMBLY_FUNCTION("te_taps4_s8_scalar")
    "    push {r3-r11, lr}\n"
    "    ldm r0, {r4, r5, r12}\n" /* rows, width, step, skip, next */
    "    ldrd r6, r7, [r0, #12]\n"
    "    mov r3, r5\n"
    "    push {r3, r4, r6}\n"
    "    mov r0, r1\n"
    "    add r3, r0, r7\n"
    "    add r4, r3, r7\n"
    "    add r5, r4, r7\n"
    "    mov r6, #0\n"
    "    mov r7, #0\n"
    "    mov r8, #0\n"
    "    mov r9, #0\n"
    "    mov lr, #0\n"
    "1:\n"
    "    ldr r1, [sp]\n"
    "    add r1, r1, r2\n"
    "2:\n"
    "    ldrsb r10, [r2], #1\n"
    "    ldrsb r11, [r0, lr]\n"
    "    mla r6, r10, r11, r6\n"
    "    ldrsb r11, [r3, lr]\n"
    "    mla r7, r10, r11, r7\n"
    "    ldrsb r11, [r4, lr]\n"
    "    mla r8, r10, r11, r8\n"
    "    ldrsb r11, [r5, lr]\n"
    "    mla r9, r10, r11, r9\n"
    "    add lr, lr, r12\n"
    "    cmp r2, r1\n"
    "    bne 2b\n"
    "    ldrd r1, r10, [sp, #4]\n"
    "    add lr, lr, r10\n"
    "    subs r1, r1, #1\n"
    "    str r1, [sp, #4]\n"
    "    bne 1b\n"
    "    add sp, sp, #12\n"
    "    pop {r0}\n"
    "    stm r0, {r6-r9}\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_taps4_s8_scalar, . - te_taps4_s8_scalar\n"
    "    .text\n");

#else /* The same in C. */

void te_taps4_s8_scalar(const te_taps_s8_scalar *taps, const int8_t *input, const int8_t *weights,
                        int32_t sums[TE_SCALAR_SUMS]) {
    const int32_t row = taps->width * taps->tap_step + taps->row_skip;
    for (int32_t window = 0; window < TE_SCALAR_SUMS; ++window) {
        int32_t sum = 0;
        for (int32_t y = 0; y < taps->rows; ++y) {
            for (int32_t x = 0; x < taps->width; ++x) {
                sum += input[window * taps->next + y * row + x * taps->tap_step] * weights[y * taps->width + x];
            }
        }
        sums[window] = sum;
    }
}

#endif
