/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_stm32_board.h
 *  The functions of te_board.h that every STM32 board has alike. Its file includes this once it has the registers of its
 *  serial port, from te_stm32_usart.h or te_stm32_f2_f4_usart.h, and has said where they are: TE_SERIAL. */
#ifndef TE_STM32_BOARD_H
#define TE_STM32_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "te_board.h"
#include "te_stm32.h"

/** Whether the processor runs from the PLL, no longer from the internal oscillator: te_board_init() sets it. */
static bool te_on_pll;

/** Once te_on_pll is set. */
static inline void te_stm32_start_serial(void) {
    te_stm32_usart_start(TE_SERIAL, te_on_pll ? TE_STM32_USART_HZ : TE_CLOCK_OSCILLATOR_HZ);
}

uint32_t te_board_clock_hz(void) {
    return te_on_pll ? TE_CLOCK_HZ : TE_CLOCK_OSCILLATOR_HZ;
}

void te_board_putc(char byte) {
    te_stm32_usart_putc(TE_SERIAL, byte);
}

int te_board_getc(void) {
    return te_stm32_usart_getc(TE_SERIAL);
}

#endif /* TE_STM32_BOARD_H */
