/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the model's inputs one after the other from standard input, and writes its outputs. */
#include <stdio.h>

#include "@NAME@_model.h"

#define READ(index, function, type, bytes, ...) \
    if (fread(function(), 1, bytes, stdin) != (bytes)) { \
        return 0; \
    }
#define WRITE(index, function, type, bytes, ...) \
    if (fwrite(function(), 1, bytes, stdout) != (bytes)) { \
        return 1; \
    }

int main(void) {
    if (@NAME@_init() != TE_OK) {
        return 1;
    }
    for (;;) {
        @UPPER@_INPUTS(READ)
        if (@NAME@_invoke() != TE_OK) {
            return 1;
        }
        @UPPER@_OUTPUTS(WRITE)
    }
}
