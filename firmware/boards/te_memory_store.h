/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_memory_store.h
 *  Memory that stands in for flash where a machine has none that can be written, as an emulator: it keeps the classes
 *  over a reset, not without power. It behaves as flash does: an erase sets every bit, programming only clears bits. */
#ifndef TE_MEMORY_STORE_H
#define TE_MEMORY_STORE_H

#include <stdint.h>

#include "te_store.h"

/** @param memory      TE_STORE_SLOTS slots, one after the other; nothing clears it at a reset.
 *  @param slot_bytes  0 where there is no memory. */
void te_open_memory_store(te_store_flash *flash, uint8_t *memory, uint32_t slot_bytes);

#endif /* TE_MEMORY_STORE_H */
