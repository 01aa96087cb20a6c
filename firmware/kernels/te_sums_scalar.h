/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_sums_scalar.h
 *  The sums of te_sums4_s8_scalar() in assembly, with the weights left open: what a function begins and ends with, and a step
 *  of two depths. Upper sums begin at minus what the offsets of their fields add, 127 << log_of_words a word of
 *  2^(log_of_words - 7) weights. */
#ifndef TE_SUMS_SCALAR_H
#define TE_SUMS_SCALAR_H

#include "te_assembly.h"
#include "te_scalar.h"

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

#define TE_SUMS4_BEGIN(name, log_of_words) \
    TE_ASSEMBLY_FUNCTION(name)             \
    "    push {r3-r7, lr}\n"               \
    "    mov r4, r8\n"                     \
    "    mov r5, r9\n"                     \
    "    mov r6, r10\n"                    \
    "    mov r7, r11\n"                    \
    "    push {r4-r7}\n"                   \
    "    movs r4, #127\n"                  \
    "    lsls r5, r4, #" log_of_words "\n" \
    "    muls r5, r2, r5\n"                \
    "    rsbs r5, r5, #0\n"                \
    "    mov r9, r5\n"                     \
    "    mov r11, r5\n"                    \
    "    lsls r3, r4, #24\n"               \
    "    lsls r4, r4, #8\n"                \
    "    orrs r4, r4, r3\n"                \
    "    mov r12, r4\n"                    \
    "    movs r5, #0\n"                    \
    "    mov r8, r5\n"                     \
    "    mov r10, r5\n"                    \
    "    lsls r2, r2, #2\n"                \
    "    adds r2, r1, r2\n"                \
    "    mov lr, r2\n"

#define TE_SUMS4_END(name)               \
    "    ldr r0, [sp, #16]\n"            \
    "    mov r1, r8\n"                   \
    "    mov r2, r9\n"                   \
    "    lsls r3, r2, #16\n"             \
    "    subs r1, r1, r3\n"              \
    "    mov r3, r10\n"                  \
    "    mov r4, r11\n"                  \
    "    lsls r5, r4, #16\n"             \
    "    subs r3, r3, r5\n"              \
    "    stmia r0!, {r1-r4}\n"           \
    "    pop {r4-r7}\n"                  \
    "    mov r8, r4\n"                   \
    "    mov r9, r5\n"                   \
    "    mov r10, r6\n"                  \
    "    mov r11, r7\n"                  \
    "    pop {r3-r7, pc}\n"              \
    "    .size " name ", . - " name "\n"

#elif TE_SCALAR_THUMB == 2

/* r0 columns, r1 weights, r2 their end, r12 and lr two of them, r8-r11 the words of two depths, r3 products; r4 and r6 whole
 * sums, r5 and r7 upper ones. 13 instructions for 8 multiply-accumulates. */
#define TE_TWO_DEPTHS(two_weights)  \
    two_weights                     \
    "    ldm r0!, {r8-r11}\n"       \
    "    mul r3, r8, r12\n"         \
    "    mla r3, r10, lr, r3\n"     \
    "    mul r8, r9, r12\n"         \
    "    mla r8, r11, lr, r8\n"     \
    "    add r4, r4, r3\n"          \
    "    add r3, r3, #0x7F007F00\n" \
    "    add r5, r5, r3, lsr #16\n" \
    "    add r6, r6, r8\n"          \
    "    add r8, r8, #0x7F007F00\n" \
    "    add r7, r7, r8, lsr #16\n"

#define TE_SUMS4_BEGIN(name, log_of_words)   \
    TE_ASSEMBLY_FUNCTION(name)               \
    "    push {r3-r11, lr}\n"                \
    "    mov r5, #127 << " log_of_words "\n" \
    "    mul r5, r2, r5\n"                   \
    "    rsb r5, r5, #0\n"                   \
    "    mov r7, r5\n"                       \
    "    mov r4, #0\n"                       \
    "    mov r6, #0\n"                       \
    "    add r2, r1, r2, lsl #2\n"

#define TE_SUMS4_END(name)               \
    "    pop {r0}\n"                     \
    "    sub r4, r4, r5, lsl #16\n"      \
    "    sub r6, r6, r7, lsl #16\n"      \
    "    stm r0, {r4-r7}\n"              \
    "    pop {r4-r11, pc}\n"             \
    "    .size " name ", . - " name "\n"

#endif

#endif /* TE_SUMS_SCALAR_H */
