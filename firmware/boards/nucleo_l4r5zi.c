/* SPDX-License-Identifier: Apache-2.0 */
/** @file nucleo_l4r5zi.c
 *  NUCLEO-L4R5ZI: STM32L4R5ZI at 120 MHz from the internal 16 MHz oscillator through the PLL; LPUART1 on PG7 (transmit)
 *  and PG8 (receive), which the on-board ST-LINK shows as its virtual COM port (UM2179). Chapters are of the reference
 *  manual RM0432.
 *
 *  The internal oscillator needs nothing on the board and is trimmed to 1 %. Counts of cycles are exact whatever its
 *  error; microseconds carry it. */
#define TE_FLASH_ACR_KEPT 0u
#include "te_stm32_l4_g4_board.h"

#define TE_RCC_AHB2ENR_GPIOG (1u << 6)
#define TE_PWR_CR2 TE_REGISTER(0x40007004u)
#define TE_PWR_CR2_IOSV (1u << 9)
#define TE_GPIOG ((te_stm32_gpio *)0x48001800u)
#define TE_LPUART1_FUNCTION 8u /* Data sheet DS12023, "alternate function". */

void te_board_init(void) {
    te_on_pll = te_start_oscillator() && te_raise_voltage() && te_start_pll();
    /* Pins 2 to 15 of port G have a supply of their own, which the board connects and software has to declare valid. */
    TE_PWR_CR2 |= TE_PWR_CR2_IOSV;
    te_stm32_enable(&TE_RCC_AHB2ENR, TE_RCC_AHB2ENR_GPIOG);
    te_stm32_enable(&TE_RCC_APB1ENR2, TE_RCC_APB1ENR2_LPUART1);
    te_stm32_start_serial();
    te_stm32_serial_pin(TE_GPIOG, 7, TE_LPUART1_FUNCTION);
    te_stm32_serial_pin(TE_GPIOG, 8, TE_LPUART1_FUNCTION);
    te_cortexm_start_counter();
}
