/* SPDX-License-Identifier: Apache-2.0 */
/** @file lab_m4.c
 *  A board of one's own: what te_board.h asks of it. The serial port is the CMSDK UART that lab_m4.toml describes. */
#include "te_board.h"
#include "te_cmsdk_uart.h"
#include "te_cortexm.h"

void te_board_init(void) {
    te_cmsdk_uart_start();
    te_cortexm_start_counter();
}

uint32_t te_board_clock_hz(void) {
    return TE_CLOCK_HZ;
}

const char *te_board_clock_source(void) {
    return "lab oscillator";
}

void te_board_putc(char byte) {
    te_cmsdk_uart_putc(byte);
}

int te_board_getc(void) {
    return te_cmsdk_uart_getc();
}
