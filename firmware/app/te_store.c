/* SPDX-License-Identifier: Apache-2.0 */
#include "te_store.h"

#include <stddef.h>
#include <string.h>

#include "te_crc32.h"

#define TE_NO_SLOT TE_STORE_SLOTS
#define TE_ERASED 0xFFu
#define TE_HEADER_CRC_AT (uint32_t)offsetof(te_store_header, crc)

typedef enum { TE_SLOT_VALID, TE_SLOT_EMPTY, TE_SLOT_FOREIGN, TE_SLOT_DAMAGED } te_slot_state;

typedef struct {
    te_slot_state state;
    uint32_t sequence;
    uint32_t crc;
} te_slot;

/* Reads a slot as far as the record goes and judges it. An error of the flash is damage: a cut leaves both. */
static te_slot te_look_at(const te_store *store, uint32_t which) {
    te_slot slot = {TE_SLOT_DAMAGED, 0u, 0u};
    te_store_header header;
    uint8_t block[TE_STORE_BLOCK_BYTES];
    uint32_t stored_crc = 0;
    bool erased = true;
    for (uint32_t offset = 0; offset < store->record_bytes; offset += TE_STORE_BLOCK_BYTES) {
        uint32_t bytes = TE_STORE_BLOCK_BYTES;
        if (!store->flash.read(which, offset, block, bytes)) {
            return slot;
        }
        for (uint32_t i = 0; i < bytes; i++) {
            erased = erased && block[i] == TE_ERASED;
        }
        if (offset == 0u) {
            memcpy(&header, block, sizeof header);
        }
        if (offset + bytes == store->record_bytes) {
            bytes -= TE_STORE_CRC_BYTES;
            memcpy(&stored_crc, block + bytes, sizeof stored_crc);
        }
        slot.crc = te_crc32_go_on(slot.crc, block, bytes);
    }
    if (erased) {
        slot.state = TE_SLOT_EMPTY;
        return slot;
    }
    if (header.magic != TE_STORE_MAGIC || header.crc != te_crc32(&header, TE_HEADER_CRC_AT)) {
        return slot;
    }
    /* A record of another length has its CRC elsewhere, so whether it is whole is not asked. */
    if (header.layout != TE_STORE_LAYOUT || header.classes != store->record->classes ||
        header.values != store->record->values || memcmp(header.model, store->record->model, sizeof header.model) != 0) {
        slot.state = TE_SLOT_FOREIGN;
    } else if (stored_crc == slot.crc) {
        slot.state = TE_SLOT_VALID;
        slot.sequence = header.sequence;
    }
    return slot;
}

/* The slot of the newest valid record, or TE_NO_SLOT. */
static uint32_t te_newest(const te_store *store, te_slot slots[TE_STORE_SLOTS]) {
    uint32_t newest = TE_NO_SLOT;
    for (uint32_t which = 0; which < TE_STORE_SLOTS; which++) {
        slots[which] = te_look_at(store, which);
        if (slots[which].state != TE_SLOT_VALID) {
            continue;
        }
        if (newest == TE_NO_SLOT || slots[which].sequence - slots[newest].sequence < 0x80000000u) {
            newest = which;
        }
    }
    return newest;
}

static bool te_some(const te_slot slots[TE_STORE_SLOTS], te_slot_state state) {
    return slots[0].state == state || slots[1].state == state;
}

/* The record's bytes, in RAM; a pointer to bytes may look at any object. */
static uint8_t *te_record_bytes(const te_store *store) {
    return (uint8_t *)store->record;
}

/* Completes the record in RAM and returns its CRC. */
static uint32_t te_seal(te_store *store, uint32_t sequence) {
    uint8_t *bytes = te_record_bytes(store);
    const uint32_t covered = store->record_bytes - TE_STORE_CRC_BYTES;
    store->record->magic = TE_STORE_MAGIC;
    store->record->layout = TE_STORE_LAYOUT;
    store->record->sequence = sequence;
    store->record->crc = te_crc32(bytes, TE_HEADER_CRC_AT);
    const uint32_t crc = te_crc32(bytes, covered);
    memcpy(bytes + covered, &crc, sizeof crc);
    return crc;
}

void te_store_init(te_store *store, const te_store_flash *flash, te_store_header *record, uint32_t record_bytes) {
    store->flash = *flash;
    store->record = record;
    store->record_bytes = record_bytes;
}

te_store_status te_store_save(te_store *store) {
    if (store->record_bytes > store->flash.slot_bytes) {
        return TE_STORE_TOO_SMALL;
    }
    te_slot slots[TE_STORE_SLOTS];
    const uint32_t newest = te_newest(store, slots);
    const uint32_t target = newest == 0u ? 1u : 0u;
    const uint32_t crc = te_seal(store, newest == TE_NO_SLOT ? 1u : slots[newest].sequence + 1u);
    if (!store->flash.erase(target)) {
        return TE_STORE_FAILED;
    }
    for (uint32_t offset = 0; offset < store->record_bytes; offset += store->flash.program_bytes) {
        if (!store->flash.program(target, offset, te_record_bytes(store) + offset)) {
            return TE_STORE_FAILED;
        }
    }
    const te_slot written = te_look_at(store, target);
    return written.state == TE_SLOT_VALID && written.crc == crc ? TE_STORE_OK : TE_STORE_FAILED;
}

te_store_status te_store_restore(te_store *store) {
    if (store->record_bytes > store->flash.slot_bytes) {
        return TE_STORE_TOO_SMALL;
    }
    te_slot slots[TE_STORE_SLOTS];
    const uint32_t newest = te_newest(store, slots);
    if (newest != TE_NO_SLOT) {
        return store->flash.read(newest, 0u, te_record_bytes(store), store->record_bytes) ? TE_STORE_OK : TE_STORE_FAILED;
    }
    if (te_some(slots, TE_SLOT_DAMAGED)) {
        return TE_STORE_DAMAGED;
    }
    return te_some(slots, TE_SLOT_FOREIGN) ? TE_STORE_FOREIGN : TE_STORE_EMPTY;
}
