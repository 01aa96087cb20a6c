/* SPDX-License-Identifier: Apache-2.0 */
/** @file mps_store.c
 *  Arm's MPS2 and MPS3 boards keep code in RAM and have no flash of their own: the end of the code memory stands in. */
#include "te_board_store.h"
#include "te_memory_store.h"

void te_board_open_store(te_store_flash *flash, uint32_t record_bytes) {
    (void)record_bytes;
    te_open_memory_store(flash, (uint8_t *)TE_STORE_ORIGIN, TE_STORE_SLOT_BYTES);
}
