/* SPDX-License-Identifier: Apache-2.0 */
/** @file mps3.c
 *  Arm's MPS3 board with the FPGA image AN547 (Corstone SSE-300 with a Cortex-M55, DAI 0547): from reset the processor
 *  runs at 32 MHz and the peripherals at 25 MHz. All code is secure, so peripherals are used by their secure addresses. */
#include "te_board.h"
#include "te_cmsdk_uart.h"
#include "te_cortexm.h"

/* Configuration and Control Register of the Armv8-M Architecture Reference Manual (DDI 0553), D1.2.9: without these the
 * loop instructions work, but branch. */
#define TE_SCB_CCR TE_REGISTER(0xE000ED14u)
#define TE_CCR_BRANCH_PREDICTION (1u << 18)
#define TE_CCR_LOW_OVERHEAD_LOOPS (1u << 19)

extern uint32_t te_stack_top[];
void te_on_reset(void);

/* What the processor reads at reset, in its boot memory; te_on_reset() then points it to the whole table. */
typedef struct {
    uint32_t *stack_top;
    void (*reset)(void);
} te_boot_vectors;

extern const te_boot_vectors te_boot;
__attribute__((section(".boot"), used)) const te_boot_vectors te_boot = {te_stack_top, te_on_reset};

void te_board_init(void) {
    TE_SCB_CCR |= TE_CCR_BRANCH_PREDICTION | TE_CCR_LOW_OVERHEAD_LOOPS;
    te_cmsdk_uart_start();
    te_cortexm_start_counter();
}

uint32_t te_board_clock_hz(void) {
    return TE_CLOCK_HZ;
}

const char *te_board_clock_source(void) {
    return "FPGA oscillator";
}

void te_board_putc(char byte) {
    te_cmsdk_uart_putc(byte);
}

int te_board_getc(void) {
    return te_cmsdk_uart_getc();
}
