/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the model's int8 inputs one after the other from standard input, and writes their int8 outputs. */
#include <stdio.h>

#include "@NAME@_model.h"

int main(void) {
    if (@NAME@_init() != TE_OK) {
        return 1;
    }
    while (fread(@NAME@_input(), 1, @UPPER@_INPUT_BYTES, stdin) == @UPPER@_INPUT_BYTES) {
        if (@NAME@_invoke() != TE_OK ||
            fwrite(@NAME@_output(), 1, @UPPER@_OUTPUT_BYTES, stdout) != @UPPER@_OUTPUT_BYTES) {
            return 1;
        }
    }
    return 0;
}
