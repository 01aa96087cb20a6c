/* SPDX-License-Identifier: Apache-2.0 */
/** @file nucleo_f207zg.c
 *  NUCLEO-F207ZG: STM32F207ZG at 120 MHz from the internal oscillator through the PLL; USART3 on PD8 (transmit) and PD9
 *  (receive), which the on-board ST-LINK shows as its virtual COM port (UM1974). Chapters are of the reference manual
 *  RM0033.
 *
 *  The internal oscillator needs nothing on the board and is trimmed to 1 % at 25 degrees. Counts of cycles are exact
 *  whatever its error; microseconds carry it. */
#include <stddef.h>

#include "te_stm32_f2_f4_f7.h"
#include "te_stm32_f2_f4_usart.h"

/* "Embedded flash memory interface": prefetch and both caches. */
#define TE_FLASH_ACR_PREFETCH_AND_CACHES (7u << 8)

#define TE_GPIOD ((te_stm32_gpio *)0x40020C00u)
#define TE_SERIAL ((te_stm32_usart *)0x40004800u) /* USART3. */
#define TE_USART3_FUNCTION 7u /* Data sheet DS6329, "alternate function mapping". */
#define TE_RCC_AHB1ENR_GPIOD (1u << 3)
#define TE_RCC_APB1ENR_USART3 (1u << 18)

#include "te_stm32_board.h"

void te_board_init(void) {
    te_on_pll = te_stm32_f2_f4_f7_lock_pll() && te_stm32_f2_f4_f7_switch_to_pll(TE_FLASH_ACR_PREFETCH_AND_CACHES);
    te_stm32_enable(&TE_RCC_AHB1ENR, TE_RCC_AHB1ENR_GPIOD);
    te_stm32_enable(&TE_RCC_APB1ENR, TE_RCC_APB1ENR_USART3);
    te_stm32_serial_pin(TE_GPIOD, 8, TE_USART3_FUNCTION);
    te_stm32_serial_pin(TE_GPIOD, 9, TE_USART3_FUNCTION);
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
