/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one inference and compares its output with the golden one. */
#include <inttypes.h>
#include <stdio.h>

#include "@NAME@_golden.h"

void app_main(void) {
    uint32_t crc32 = 0;
    te_status status = @NAME@_init();
    if (status == TE_OK) {
        status = @NAME@_golden_check(&crc32);
    }
    printf("@NAME@: CRC-32 %08" PRIx32 ", %s\n", crc32, status == TE_OK ? @UPPER@_GOLDEN_SAME : "WRONG");
}
