/* SPDX-License-Identifier: Apache-2.0 */
/** @file mps2.c
 *  Arm's MPS2 board with the FPGA images AN386 (Cortex-M4, DAI 0386) and AN500 (Cortex-M7, DAI 0500): everything runs
 *  at 25 MHz from reset, and the serial port is the CMSDK APB UART (Cortex-M System Design Kit TRM, DDI 0479, 4.3). */
#include "te_board.h"
#include "te_cortexm.h"

#define TE_UART0_DATA TE_REGISTER(0x40004000u)
#define TE_UART0_STATE TE_REGISTER(0x40004004u)
#define TE_UART0_CTRL TE_REGISTER(0x40004008u)
#define TE_UART0_BAUDDIV TE_REGISTER(0x40004010u)
#define TE_UART_STATE_TX_FULL 1u
#define TE_UART_STATE_RX_FULL 2u
#define TE_UART_CTRL_TX_AND_RX 3u

void te_board_init(void) {
    TE_UART0_BAUDDIV = TE_CLOCK_HZ / TE_UART_BAUD; /* At least 16. */
    TE_UART0_CTRL = TE_UART_CTRL_TX_AND_RX;
    te_cortexm_start_counter();
}

uint32_t te_board_clock_hz(void) {
    return TE_CLOCK_HZ;
}

const char *te_board_clock_source(void) {
    return "FPGA oscillator";
}

void te_board_putc(char byte) {
    for (uint32_t i = 0; i < TE_READY_TRIES && (TE_UART0_STATE & TE_UART_STATE_TX_FULL) != 0u; i++) {
    }
    TE_UART0_DATA = (uint8_t)byte;
}

int te_board_getc(void) {
    return (TE_UART0_STATE & TE_UART_STATE_RX_FULL) != 0u ? (int)(TE_UART0_DATA & 0xFFu) : -1;
}
