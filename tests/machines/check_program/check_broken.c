/* SPDX-License-Identifier: Apache-2.0 */
/** @file check_broken.c
 *  A kernel that copies bytes, and others with one fault each, which the program has to find. */
#include "check_broken.h"

#include <string.h>

void check_copy(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    (void)scratch;
    memcpy(output, input, (size_t)params->count);
}

void check_reverse(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < params->count; i++) {
        output[i] = input[params->count - 1 - i];
    }
}

void check_undefined(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    check_copy(params, input, output, scratch);
    __asm__ volatile("udf #0");
}

void check_copy_wrong_byte(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    check_copy(params, input, output, scratch);
    output[params->count - 1] = (int8_t)~output[params->count - 1];
}

void check_copy_beyond(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    check_copy(params, input, output, scratch);
    output[params->count] = 0;
}

void check_copy_before(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    check_copy(params, input, output, scratch);
    output[-1] = 0;
}

void check_copy_short(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const check_copy_params less = {params->count - 1};
    check_copy(&less, input, output, scratch);
}

void check_copy_changes_input(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    check_copy(params, input, output, scratch);
    ((int8_t *)(uintptr_t)input)[params->count / 2] ^= 1;
}

void check_copy_clobbers_r7(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    check_copy(params, input, output, scratch);
    __asm__ volatile("mov r7, r0"); /* Not among the clobbered ones, so that nobody saves it. */
}

void check_copy_clobbers_r11(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    check_copy(params, input, output, scratch);
    __asm__ volatile("mov r11, r0");
}

/* As two pushes and one pop would leave it, which no compiler writes. */
__attribute__((naked)) void check_copy_keeps_stack(const check_copy_params *params, const int8_t *input, int8_t *output,
                                                   void *scratch) {
    (void)params, (void)input, (void)output, (void)scratch;
    __asm__ volatile("push {r4, lr}\n\t"
                     "bl check_copy\n\t"
                     "ldr r4, [sp, #4]\n\t"
                     "mov lr, r4\n\t"
                     "ldr r4, [sp]\n\t"
                     "bx lr");
}

void check_copy_writes_above(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    uint32_t here;
    check_copy(params, input, output, scratch);
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (uint32_t above = 64; above < 72u; above += 4u) { /* Beyond its frame and its arguments. */
        *(volatile uint32_t *)(here + above) = 0;
    }
}

void check_copy_fills_stack(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    uint8_t buffer[1900];
    memset(buffer, 1, sizeof buffer);
    __asm__ volatile("" : : "r"(buffer) : "memory"); /* It may not be left out. */
    check_copy(params, input, output, scratch);
}

#ifdef __ARM_FP
void check_copy_clobbers_d8(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    check_copy(params, input, output, scratch);
    __asm__ volatile("vmov s17, r0");
}

void check_copy_rounds(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    uint32_t fpscr;
    check_copy(params, input, output, scratch);
    __asm__ volatile("vmrs %0, fpscr" : "=r"(fpscr));
    fpscr |= 3u << 22; /* Towards zero. */
    __asm__ volatile("vmsr fpscr, %0" : : "r"(fpscr));
}
#endif

#ifdef __ARM_FEATURE_MVE
/* As a loop with a tail that is left by a branch. */
void check_copy_leaves_loop(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    check_copy(params, input, output, scratch);
    __asm__ volatile("dlstp.8 lr, %0" : : "r"(params->count) : "lr");
}

/* The block ends behind the return. */
__attribute__((naked)) void check_copy_leaves_block(const check_copy_params *params, const int8_t *input, int8_t *output,
                                                    void *scratch) {
    (void)params, (void)input, (void)output, (void)scratch;
    __asm__ volatile("push {r4, lr}\n\t"
                     "bl check_copy\n\t"
                     "vmrs r0, vpr\n\t"
                     "orr r0, r0, #0x880000\n\t"
                     "vmsr vpr, r0\n\t"
                     "pop {r4, pc}");
}
#endif
