/* SPDX-License-Identifier: Apache-2.0 */
/* One inference on an input of zeros, and its outputs on the console. */
#include <stdint.h>
#include <string.h>
#include <zephyr/sys/printk.h>

#include "model.h"

int main(void) {
    memset(te_model_input(), TE_MODEL_INPUT_ZERO_POINT, TE_MODEL_INPUT_BYTES);
    te_model_invoke(NULL, NULL);
    const int8_t *output = te_model_output();
    for (int32_t i = 0; i < TE_MODEL_OUTPUT_BYTES; ++i) {
        printk("%d\n", output[i]);
    }
    return 0;
}
