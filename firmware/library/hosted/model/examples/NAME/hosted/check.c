/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one inference and compares its output with the golden one: exits with 0 where they are the same, with 1 where they
 * differ, and with 77 where this folder was made without a golden output, so that nothing is compared. */
#include <inttypes.h>
#include <stdio.h>

#include "@NAME@_golden.h"

#ifdef @UPPER@_ARENA_EXTERNAL
static uint64_t arena[(@UPPER@_ARENA_BYTES + 7) / 8];
#define INIT() @NAME@_init(arena, sizeof arena)
#else
#define INIT() @NAME@_init()
#endif

int main(void) {
    uint32_t crc32 = 0;
    te_status status = INIT();
    if (status == TE_OK) {
        status = @NAME@_golden_check(&crc32);
    }
    printf("@NAME@: CRC-32 %08" PRIx32 ", %s\n", crc32, status == TE_OK ? @UPPER@_GOLDEN_SAME : "WRONG");
#ifdef @UPPER@_GOLDEN_CRC32
    return status == TE_OK ? 0 : 1;
#else
    return status == TE_OK ? 77 : 1;
#endif
}
