/* SPDX-License-Identifier: Apache-2.0 */
/** @file stm32f4_store.c
 *  The flash of the STM32F405/F415 as a store: a slot is a sector of its own, erased as a whole, and written word by
 *  word. Sections are of the reference manual RM0090; the supply is taken to be 2.7 to 3.6 V.
 *
 *  While a sector is erased (up to 0.5 s for 16 KB, data sheet DS8626) nothing can be read from the flash, so the
 *  processor stands still at the next instruction that no cache holds, and te_board_count() may lose wraps of SysTick. */
#include <stdbool.h>
#include <string.h>

#include "te_board_store.h"
#include "te_cortexm.h"
#include "te_memory_store.h"

/* Section 3.9. */
#define TE_FLASH_ACR TE_REGISTER(0x40023C00u)
#define TE_FLASH_ACR_DCEN (1u << 10)
#define TE_FLASH_ACR_DCRST (1u << 12)
#define TE_FLASH_KEYR TE_REGISTER(0x40023C04u)
#define TE_FLASH_SR TE_REGISTER(0x40023C0Cu)
#define TE_FLASH_SR_ERRORS ((1u << 1) | (15u << 4)) /* Operation; write protection, alignment, parallelism, sequence. */
#define TE_FLASH_SR_EOP (1u << 0)
#define TE_FLASH_SR_BSY (1u << 16)
#define TE_FLASH_CR TE_REGISTER(0x40023C10u)
#define TE_FLASH_CR_PG (1u << 0)
#define TE_FLASH_CR_SER (1u << 1)
#define TE_FLASH_CR_SNB(sector) ((sector) << 3)
#define TE_FLASH_CR_PSIZE_WORD (2u << 8) /* Section 3.6.2: 32 bits at a time from 2.7 V on. */
#define TE_FLASH_CR_STRT (1u << 16)
#define TE_FLASH_CR_LOCK (1u << 31)

/* Section 3.6.1. */
#define TE_FLASH_KEY_1 0x45670123u
#define TE_FLASH_KEY_2 0xCDEF89ABu

/* Section 3.4, table 5: sector 1 is at 16 KB, sector 2 after it. */
#define TE_FIRST_SECTOR 1u
#if TE_STORE_ORIGIN != 0x08004000u || TE_STORE_SLOT_BYTES != 16384u || TE_STORE_PROGRAM_BYTES != 4u
#error "the store is set for sectors 1 and 2, written by words"
#endif

/* Some ten times the longest erase: a look at the status takes six cycles or more of 168 MHz. */
#define TE_FLASH_TRIES 100000000u

extern uint8_t te_bss_end[], te_sram_end[];

static const uint8_t *te_slot_address(uint32_t slot) {
    return (const uint8_t *)(TE_STORE_ORIGIN + slot * TE_STORE_SLOT_BYTES);
}

static bool te_wait_for_flash(void) {
    for (uint32_t i = 0; i < TE_FLASH_TRIES; i++) {
        if ((TE_FLASH_SR & TE_FLASH_SR_BSY) == 0u) {
            return true;
        }
    }
    return false;
}

/* Makes the flash ready for an operation, with the flags of the one before cleared by writing ones (section 3.9.5). */
static bool te_unlock(void) {
    if (!te_wait_for_flash()) {
        return false;
    }
    if ((TE_FLASH_CR & TE_FLASH_CR_LOCK) != 0u) {
        TE_FLASH_KEYR = TE_FLASH_KEY_1;
        TE_FLASH_KEYR = TE_FLASH_KEY_2;
    }
    TE_FLASH_SR = TE_FLASH_SR_EOP | TE_FLASH_SR_ERRORS;
    return (TE_FLASH_CR & TE_FLASH_CR_LOCK) == 0u;
}

/* Waits for the operation, then locks. The data cache may hold what was there before (section 3.5.2): it is cleared,
 * which it can only be while it is off. */
static bool te_finish(void) {
    te_cortexm_barrier(); /* The write of a word comes before the looks at the status. */
    const bool done = te_wait_for_flash() && (TE_FLASH_SR & TE_FLASH_SR_ERRORS) == 0u;
    TE_FLASH_CR = TE_FLASH_CR_LOCK;
    const uint32_t access = TE_FLASH_ACR;
    TE_FLASH_ACR = access & ~TE_FLASH_ACR_DCEN;
    TE_FLASH_ACR = (access & ~TE_FLASH_ACR_DCEN) | TE_FLASH_ACR_DCRST;
    TE_FLASH_ACR = access & ~TE_FLASH_ACR_DCEN;
    TE_FLASH_ACR = access;
    return done;
}

static bool te_read(uint32_t slot, uint32_t offset, uint8_t *to, uint32_t bytes) {
    memcpy(to, te_slot_address(slot) + offset, bytes);
    return true;
}

/* Section 3.6.3. */
static bool te_erase(uint32_t slot) {
    if (!te_unlock()) {
        return false;
    }
    TE_FLASH_CR = TE_FLASH_CR_SER | TE_FLASH_CR_SNB(TE_FIRST_SECTOR + slot) | TE_FLASH_CR_PSIZE_WORD;
    TE_FLASH_CR |= TE_FLASH_CR_STRT;
    return te_finish();
}

/* Section 3.6.4. */
static bool te_program(uint32_t slot, uint32_t offset, const uint8_t *unit) {
    uint32_t word;
    if (!te_unlock()) {
        return false;
    }
    memcpy(&word, unit, sizeof word);
    TE_FLASH_CR = TE_FLASH_CR_PG | TE_FLASH_CR_PSIZE_WORD;
    *(volatile uint32_t *)(TE_STORE_ORIGIN + slot * TE_STORE_SLOT_BYTES + offset) = word;
    return te_finish();
}

/* After a reset the flash is locked (section 3.9.7). QEMU has no flash interface, there all of it reads 0; the RAM that
 * no variable takes then stands in, if it is enough for two records. */
void te_board_open_store(te_store_flash *flash, uint32_t record_bytes) {
    if ((TE_FLASH_CR & TE_FLASH_CR_LOCK) == 0u) {
        const uint32_t free_bytes = (uint32_t)((uintptr_t)te_sram_end - (uintptr_t)te_bss_end);
        const bool fits = free_bytes >= TE_STORE_SLOTS * record_bytes;
        te_open_memory_store(flash, te_bss_end, fits ? record_bytes : 0u);
        return;
    }
    flash->description = "flash, sectors 1 and 2";
    flash->slot_bytes = TE_STORE_SLOT_BYTES;
    flash->program_bytes = TE_STORE_PROGRAM_BYTES;
    flash->read = te_read;
    flash->erase = te_erase;
    flash->program = te_program;
}
