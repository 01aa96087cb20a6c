/* SPDX-License-Identifier: Apache-2.0 */
/** @file mps2.c
 *  Arm's MPS2 board with the FPGA images AN386 (Cortex-M4, DAI 0386) and AN500 (Cortex-M7, DAI 0500): everything runs
 *  at 25 MHz from reset. */
#include <stddef.h>

#include "te_board.h"
#include "te_cmsdk_uart.h"
#include "te_cortexm.h"

#define TE_UART0 ((te_cmsdk_uart *)0x40004000u)

void te_board_init(void) {
    te_cmsdk_uart_start(TE_UART0, TE_CLOCK_HZ, TE_UART_BAUD);
    te_cortexm_start_counter();
}

uint32_t te_board_clock_hz(void) {
    return TE_CLOCK_HZ;
}

const char *te_board_clock_source(void) {
    return "FPGA oscillator";
}

const uint32_t *te_board_unique_id(void) {
    return NULL;
}

void te_board_putc(char byte) {
    te_cmsdk_uart_putc(TE_UART0, byte);
}

int te_board_getc(void) {
    return te_cmsdk_uart_getc(TE_UART0);
}
