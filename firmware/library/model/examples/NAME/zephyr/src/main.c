/* SPDX-License-Identifier: Apache-2.0 */
/* One inference on an input of zeros, and its outputs on the console. */
#include <stdint.h>
#include <string.h>
#include <zephyr/sys/printk.h>

#include "@NAME@_model.h"

int main(void) {
    if (@NAME@_init() != TE_OK) {
        return 1;
    }
    memset(@NAME@_input(), @UPPER@_INPUT_ZERO_POINT, @UPPER@_INPUT_BYTES);
    if (@NAME@_invoke() != TE_OK) {
        return 1;
    }
    const int8_t *output = @NAME@_output();
    for (int32_t i = 0; i < @UPPER@_OUTPUT_BYTES; ++i) {
        printk("%d\n", output[i]);
    }
    return 0;
}
