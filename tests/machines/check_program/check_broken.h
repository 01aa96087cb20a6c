/* SPDX-License-Identifier: Apache-2.0 */
/** @file check_broken.h
 *  See check_broken.c. */
#ifndef CHECK_BROKEN_H
#define CHECK_BROKEN_H

#include <stdint.h>

typedef struct {
    int32_t count;
} check_copy_params;

void check_copy(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch);

/** Reads the last byte first, so that its output may not lie over its input. */
void check_reverse(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch);

/** Ends in a fault. */
void check_undefined(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch);

#define CHECK_BROKEN(name) \
    void check_copy_##name(const check_copy_params *params, const int8_t *input, int8_t *output, void *scratch)
CHECK_BROKEN(wrong_byte);
CHECK_BROKEN(beyond);
CHECK_BROKEN(before);
CHECK_BROKEN(short);
CHECK_BROKEN(changes_input);
CHECK_BROKEN(clobbers_r7);
CHECK_BROKEN(clobbers_r11);
CHECK_BROKEN(keeps_stack);
CHECK_BROKEN(writes_above);
CHECK_BROKEN(fills_stack);
CHECK_BROKEN(clobbers_d8);
CHECK_BROKEN(rounds);
CHECK_BROKEN(leaves_loop);
CHECK_BROKEN(leaves_block);

#endif /* CHECK_BROKEN_H */
