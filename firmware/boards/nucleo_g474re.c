/* SPDX-License-Identifier: Apache-2.0 */
/** @file nucleo_g474re.c
 *  NUCLEO-G474RE: STM32G474RE at 170 MHz from the internal 16 MHz oscillator through the PLL; LPUART1 on PA2 (transmit)
 *  and PA3 (receive), which the on-board ST-LINK shows as its virtual COM port (Zephyr's nucleo_g474re.dts, Mbed's
 *  PinNames.h). Addresses and bits are those of ST's stm32g474xx.h (repository STMicroelectronics/cmsis-device-g4);
 *  order and limits those of ST's drivers (repository STMicroelectronics/stm32g4xx-hal-driver), file by file below.
 *
 *  The internal oscillator needs nothing on the board and is trimmed to 1 % (Zephyr's page of the board). Counts of
 *  cycles are exact whatever its error; microseconds carry it. */
#define TE_FLASH_ACR_KEPT (TE_FLASH_ACR & (1u << 18)) /* DBG_SWEN. */
#include "te_stm32_l4_g4_board.h"

#define TE_RCC_AHB2ENR_GPIOA (1u << 0)
#define TE_GPIOA ((te_stm32_gpio *)0x48000000u)
#define TE_LPUART1_FUNCTION 12u /* stm32g4xx_hal_gpio_ex.h: GPIO_AF12_LPUART1. */

void te_board_init(void) {
    te_on_pll = te_start_oscillator() && te_raise_voltage() && te_start_pll();
    te_stm32_enable(&TE_RCC_AHB2ENR, TE_RCC_AHB2ENR_GPIOA);
    te_stm32_enable(&TE_RCC_APB1ENR2, TE_RCC_APB1ENR2_LPUART1);
    te_stm32_start_serial();
    te_stm32_serial_pin(TE_GPIOA, 2, TE_LPUART1_FUNCTION);
    te_stm32_serial_pin(TE_GPIOA, 3, TE_LPUART1_FUNCTION);
    te_cortexm_start_counter();
}
