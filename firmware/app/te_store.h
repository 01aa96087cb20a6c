/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_store.h
 *  A record in flash that a power cut cannot destroy: two slots, written in turn.
 *
 *  A save erases the slot that does not hold the newest valid record and writes the new one there from its first byte
 *  to its last, which are its CRC-32. Until the last one is written the slot is not valid and the other one counts; so
 *  at any moment a restore finds the record before the save or the record of it.
 *
 *  Every programming unit is written once after each erase, whole and in order, as flash with error correction asks.
 *  It touches no hardware: a board brings its flash as functions, so the same code runs on a host under sanitizers. */
#ifndef TE_STORE_H
#define TE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#define TE_STORE_SLOTS 2u
#define TE_STORE_CRC_BYTES 4u
#define TE_STORE_MODEL_CHARS 12

/** A record is a multiple of this long: every programming unit (1 to 32 bytes, a power of two) fits it. */
#define TE_STORE_BLOCK_BYTES 32u

/** Bytes of a record whose header and contents take `bytes`: at its end fill and the CRC-32 of all before it. */
#define TE_STORE_RECORD_BYTES(bytes) \
    (((bytes) + TE_STORE_CRC_BYTES + TE_STORE_BLOCK_BYTES - 1u) / TE_STORE_BLOCK_BYTES * TE_STORE_BLOCK_BYTES)

/** The first bytes of a record; little-endian. */
typedef struct {
    uint32_t magic;    /**< TE_STORE_MAGIC */
    uint16_t layout;   /**< TE_STORE_LAYOUT */
    uint16_t classes;  /**< Room for how many. */
    uint32_t values;   /**< Of an embedding. */
    uint32_t sequence; /**< One more than that of the record before; the higher one, modulo 2^32, is the newer. */
    char model[TE_STORE_MODEL_CHARS]; /**< The first hex digits of the SHA-256 of its file. */
    uint32_t crc;      /**< CRC-32 of the members above: tells a record of another model from a part of one. */
} te_store_header;

/** "TECL" */
#define TE_STORE_MAGIC 0x4C434554u
#define TE_STORE_LAYOUT 1u

/** A board's flash. Each function returns false where the flash reports an error. */
typedef struct {
    const char *description; /**< Of the memory, for people. */
    uint32_t slot_bytes;
    uint32_t program_bytes;  /**< Of a programming unit. */
    /** Copies from a slot; a unit whose writing was cut may give anything, or an error. */
    bool (*read)(uint32_t slot, uint32_t offset, uint8_t *to, uint32_t bytes);
    bool (*erase)(uint32_t slot);
    /** Writes program_bytes bytes at a multiple of program_bytes. */
    bool (*program)(uint32_t slot, uint32_t offset, const uint8_t *unit);
} te_store_flash;

typedef enum {
    TE_STORE_OK,
    TE_STORE_TOO_SMALL, /**< A slot does not hold the record. */
    TE_STORE_FAILED,    /**< The flash reports an error, or holds something else than was written. */
    TE_STORE_EMPTY,     /**< Nothing was ever saved. */
    TE_STORE_FOREIGN,   /**< What is there was saved with another model, or with room for another number of classes. */
    TE_STORE_DAMAGED    /**< There is a record, but no valid one. */
} te_store_status;

/** All members are private. */
typedef struct {
    te_store_flash flash;
    te_store_header *record;
    uint32_t record_bytes;
} te_store;

/** Prepares the store; reads nothing.
 *  @param record        The record in RAM, whose classes, values and model are set; the rest of the header is not.
 *  @param record_bytes  TE_STORE_RECORD_BYTES of header and contents: there is room for the CRC at its end. */
void te_store_init(te_store *store, const te_store_flash *flash, te_store_header *record, uint32_t record_bytes);

/** Writes the record; its header then has its sequence number. After an error the record that was saved before, if
 *  there is one, is still the one that restores. */
te_store_status te_store_save(te_store *store);

/** Reads the newest valid record of this model. After an error the record in RAM is as it was; but after
 *  TE_STORE_FAILED, where the flash no longer reads what was whole a moment before, its contents are undefined. */
te_store_status te_store_restore(te_store *store);

#endif /* TE_STORE_H */
