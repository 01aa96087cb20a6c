/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the model's int8 inputs one after the other from standard input, and writes their int8 outputs. */
#include <stdio.h>

#include "model.h"

int main(void) {
    while (fread(te_model_input(), 1, TE_MODEL_INPUT_BYTES, stdin) == TE_MODEL_INPUT_BYTES) {
        te_model_invoke(NULL, NULL);
        if (fwrite(te_model_output(), 1, TE_MODEL_OUTPUT_BYTES, stdout) != TE_MODEL_OUTPUT_BYTES) {
            return 1;
        }
    }
    return 0;
}
