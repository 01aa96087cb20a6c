/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one inference and compares its output with the golden one; a debugger shows what came of it. */
#include "@NAME@_golden.h"

volatile te_status @NAME@_status = TE_ERR_STATE; /* TE_OK where the output is the golden one. */
volatile uint32_t @NAME@_crc32;

int main(void) {
    uint32_t crc32 = 0;
    te_status status = @NAME@_init();
    if (status == TE_OK) {
        status = @NAME@_golden_check(&crc32);
    }
    @NAME@_crc32 = crc32;
    @NAME@_status = status;
    for (;;) {
    }
}
