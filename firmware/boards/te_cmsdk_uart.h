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

/** The board's, from its TOML file. */
#define TE_CMSDK_UART ((te_cmsdk_uart *)TE_CMSDK_UART_ORIGIN)

/** At TE_UART_BAUD. */
static inline void te_cmsdk_uart_start(void) {
    TE_CMSDK_UART->bauddiv = TE_CMSDK_UART_CLOCK_HZ / TE_UART_BAUD;
    TE_CMSDK_UART->ctrl = TE_UART_CTRL_TX_AND_RX;
}

/** As te_board_putc(). */
static inline void te_cmsdk_uart_putc(char byte) {
    for (uint32_t i = 0; i < TE_READY_TRIES && (TE_CMSDK_UART->state & TE_UART_STATE_TX_FULL) != 0u; i++) {
    }
    TE_CMSDK_UART->data = (uint8_t)byte;
}

/** As te_board_getc(). */
static inline int te_cmsdk_uart_getc(void) {
    return (TE_CMSDK_UART->state & TE_UART_STATE_RX_FULL) != 0u ? (int)(TE_CMSDK_UART->data & 0xFFu) : -1;
}

#endif /* TE_CMSDK_UART_H */
