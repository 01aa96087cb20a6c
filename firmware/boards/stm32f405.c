/* SPDX-License-Identifier: Apache-2.0 */
/** @file stm32f405.c
 *  STM32F405/F415 with nothing assumed of the circuit around it: 168 MHz from the internal oscillator through the PLL,
 *  USART1 on PA9 (transmit) and PA10 (receive). Sections are of the reference manual RM0090.
 *
 *  The internal oscillator is trimmed to 1 % at 25 degrees (data sheet DS8626), well within what a UART takes. Counts of
 *  cycles are exact whatever its error; microseconds carry it. */
#include <stddef.h>

#include "te_stm32_f2_f4_f7.h"
#include "te_stm32_f2_f4_usart.h"

/* Section 5.4.1: scale 1 is needed above 144 MHz. */
#define TE_PWR_CR_VOS_SCALE_1 (1u << 14)

/* Section 3.9.1. */
#define TE_FLASH_ACR_PREFETCH_AND_CACHES (7u << 8)

/* Section 8.4; alternate function 7 is USART1 (data sheet). */
#define TE_GPIOA ((te_stm32_gpio *)0x40020000u)
#define TE_USART1_FUNCTION 7u
#define TE_RCC_AHB1ENR_GPIOA (1u << 0)
#define TE_RCC_APB2ENR_USART1 (1u << 4)

#define TE_SERIAL ((te_stm32_usart *)0x40011000u) /* USART1. */

#include "te_stm32_board.h"

/* Leaves the processor on the 16 MHz oscillator, and returns false, where the PLL does not come. */
static bool te_start_pll(void) {
    te_stm32_enable(&TE_RCC_APB1ENR, TE_RCC_APB1ENR_PWREN); /* Errata ES0182: a clock needs a delay after it is on. */
    TE_PWR_CR |= TE_PWR_CR_VOS_SCALE_1;
    return te_stm32_f2_f4_f7_lock_pll() && te_stm32_f2_f4_f7_switch_to_pll(TE_FLASH_ACR_PREFETCH_AND_CACHES);
}

void te_board_init(void) {
    te_on_pll = te_start_pll();
    te_stm32_enable(&TE_RCC_AHB1ENR, TE_RCC_AHB1ENR_GPIOA);
    te_stm32_enable(&TE_RCC_APB2ENR, TE_RCC_APB2ENR_USART1);
    te_stm32_serial_pin(TE_GPIOA, 9, TE_USART1_FUNCTION);
    te_stm32_serial_pin(TE_GPIOA, 10, TE_USART1_FUNCTION);
    te_stm32_start_serial();
    te_cortexm_start_counter();
}

const char *te_board_clock_source(void) {
    return te_on_pll ? "PLL from HSI" : "HSI (the PLL did not start)";
}

#ifdef TE_UNIQUE_ID_ORIGIN
/* QEMU has no such memory, and no PLL either. */
const uint32_t *te_board_unique_id(void) {
    return te_on_pll ? (const uint32_t *)TE_UNIQUE_ID_ORIGIN : NULL;
}
#endif
