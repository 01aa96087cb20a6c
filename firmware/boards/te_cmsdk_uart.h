/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_cmsdk_uart.h
 *  The serial port of Arm's FPGA boards: the CMSDK APB UART (Cortex-M System Design Kit TRM, DDI 0479, 4.3). */
#ifndef TE_CMSDK_UART_H
#define TE_CMSDK_UART_H

#include <stdint.h>

#include "te_cortexm.h"

#define TE_UART_STATE_TX_FULL 1u
#define TE_UART_STATE_RX_FULL 2u
#define TE_UART_CTRL_TX_AND_RX 3u

/** The registers, at the port's address. */
typedef struct {
    volatile uint32_t data;
    volatile uint32_t state;
    volatile uint32_t ctrl;
    volatile uint32_t intstatus;
    volatile uint32_t bauddiv; /**< At least 16. */
} te_cmsdk_uart;

/** @param clock_hz  Of the peripheral bus. */
static inline void te_cmsdk_uart_start(te_cmsdk_uart *uart, uint32_t clock_hz, uint32_t baud) {
    uart->bauddiv = clock_hz / baud;
    uart->ctrl = TE_UART_CTRL_TX_AND_RX;
}

/** As te_board_putc(). */
static inline void te_cmsdk_uart_putc(te_cmsdk_uart *uart, char byte) {
    for (uint32_t i = 0; i < TE_READY_TRIES && (uart->state & TE_UART_STATE_TX_FULL) != 0u; i++) {
    }
    uart->data = (uint8_t)byte;
}

/** As te_board_getc(). */
static inline int te_cmsdk_uart_getc(te_cmsdk_uart *uart) {
    return (uart->state & TE_UART_STATE_RX_FULL) != 0u ? (int)(uart->data & 0xFFu) : -1;
}

#endif /* TE_CMSDK_UART_H */
