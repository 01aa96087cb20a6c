/* SPDX-License-Identifier: Apache-2.0 */
/** @file disco_f746ng.c
 *  32F746GDISCOVERY: STM32F746NG at 216 MHz from the internal oscillator through the PLL, with over-drive; USART1 on
 *  PA9 (transmit) and PB7 (receive), which the on-board ST-LINK shows as its virtual COM port (UM1907). Chapters are of
 *  the reference manual RM0385.
 *
 *  The internal oscillator needs nothing on the board and is trimmed to 1 % at 25 degrees. Counts of cycles are exact
 *  whatever its error; microseconds carry it.
 *
 *  Code and constants are read over the AXI bus at 0x08000000 through the caches of the processor. The ART accelerator
 *  serves the other address of the flash, 0x00200000, alone, so it stays off. */
#include "te_cortexm7.h"
#include "te_stm32_f2_f4_f7.h"
#include "te_stm32_usart.h"

/* "Power controller (PWR)". */
#define TE_PWR_CSR TE_REGISTER(0x40007004u)
#define TE_PWR_CR_VOS_SCALE_1 (3u << 14)
#define TE_PWR_CR_OVER_DRIVE (1u << 16)
#define TE_PWR_CR_OVER_DRIVE_SWITCH (1u << 17)
#define TE_PWR_CSR_OVER_DRIVE_READY (1u << 16)
#define TE_PWR_CSR_OVER_DRIVE_SWITCHED (1u << 17)

#define TE_FLASH_ACR_PREFETCH (1u << 8)

#define TE_GPIOA ((te_stm32_gpio *)0x40020000u)
#define TE_GPIOB ((te_stm32_gpio *)0x40020400u)
#define TE_SERIAL ((te_stm32_usart *)0x40011000u) /* USART1. */
#define TE_USART1_FUNCTION 7u /* Data sheet DS10916, "alternate function mapping". */
#define TE_RCC_AHB1ENR_GPIOA_GPIOB 3u
#define TE_RCC_APB2ENR_USART1 (1u << 4)

#include "te_stm32_board.h"
#include "te_unique_id.h"

/* Leaves the processor on the oscillator, and returns false, where a step does not come. The order is that of "Entering
 * Over-drive mode" in the chapter on PWR. */
static bool te_start_pll(void) {
    te_stm32_enable(&TE_RCC_APB1ENR, TE_RCC_APB1ENR_PWREN);
    TE_PWR_CR |= TE_PWR_CR_VOS_SCALE_1; /* Can be written while the PLL is off; it is the reset value. */
    if (!te_stm32_f2_f4_f7_lock_pll()) {
        return false;
    }
    TE_PWR_CR |= TE_PWR_CR_OVER_DRIVE;
    if (!te_stm32_wait(&TE_PWR_CSR, TE_PWR_CSR_OVER_DRIVE_READY, TE_PWR_CSR_OVER_DRIVE_READY)) {
        return false;
    }
    TE_PWR_CR |= TE_PWR_CR_OVER_DRIVE_SWITCH;
    if (!te_stm32_wait(&TE_PWR_CSR, TE_PWR_CSR_OVER_DRIVE_SWITCHED, TE_PWR_CSR_OVER_DRIVE_SWITCHED)) {
        return false;
    }
    return te_stm32_f2_f4_f7_switch_to_pll(TE_FLASH_ACR_PREFETCH);
}

void te_board_init(void) {
    te_cortexm7_start_caches();
    te_on_pll = te_start_pll();
    te_stm32_enable(&TE_RCC_AHB1ENR, TE_RCC_AHB1ENR_GPIOA_GPIOB);
    te_stm32_enable(&TE_RCC_APB2ENR, TE_RCC_APB2ENR_USART1);
    te_stm32_start_serial();
    te_stm32_serial_pin(TE_GPIOA, 9, TE_USART1_FUNCTION);
    te_stm32_serial_pin(TE_GPIOB, 7, TE_USART1_FUNCTION);
    te_cortexm_start_counter();
}

const char *te_board_clock_source(void) {
    return te_on_pll ? "PLL from HSI" : "HSI (the PLL did not start)";
}
