/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one inference and compares its output with the golden one. */
#include <stdint.h>
#include <zephyr/sys/printk.h>

#include "@NAME@_golden.h"

int main(void) {
    uint32_t crc32 = 0;
    te_status status = @NAME@_init();
    if (status == TE_OK) {
        status = @NAME@_golden_check(&crc32);
    }
    printk("@NAME@: CRC-32 %08x, %s\n", (unsigned int)crc32, status == TE_OK ? @UPPER@_GOLDEN_SAME : "WRONG");
    return status == TE_OK ? 0 : 1;
}
