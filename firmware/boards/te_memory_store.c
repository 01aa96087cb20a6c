/* SPDX-License-Identifier: Apache-2.0 */
#include "te_memory_store.h"

#define TE_ERASED 0xFF

static volatile uint8_t *te_slots;
static uint32_t te_slot_bytes;

static bool te_memory_read(uint32_t slot, uint32_t offset, uint8_t *to, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) {
        to[i] = te_slots[slot * te_slot_bytes + offset + i];
    }
    return true;
}

static bool te_memory_erase(uint32_t slot) {
    for (uint32_t i = 0; i < te_slot_bytes; i++) {
        te_slots[slot * te_slot_bytes + i] = TE_ERASED;
    }
    return true;
}

static bool te_memory_program(uint32_t slot, uint32_t offset, const uint8_t *unit) {
    for (uint32_t i = 0; i < TE_STORE_PROGRAM_BYTES; i++) {
        volatile uint8_t *byte = &te_slots[slot * te_slot_bytes + offset + i];
        *byte = (uint8_t)(*byte & unit[i]);
    }
    return true;
}

void te_open_memory_store(te_store_flash *flash, uint8_t *memory, uint32_t slot_bytes) {
    te_slots = memory;
    te_slot_bytes = slot_bytes;
    flash->description = "memory that a reset keeps, for this machine emulates no flash";
    flash->slot_bytes = slot_bytes;
    flash->program_bytes = TE_STORE_PROGRAM_BYTES;
    flash->read = te_memory_read;
    flash->erase = te_memory_erase;
    flash->program = te_memory_program;
}
