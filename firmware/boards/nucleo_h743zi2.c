/* SPDX-License-Identifier: Apache-2.0 */
/** @file nucleo_h743zi2.c
 *  NUCLEO-H743ZI2: STM32H743ZI at 480 MHz from the internal oscillator through PLL1; USART3 on PD8 (transmit) and PD9
 *  (receive), which the on-board ST-LINK shows as its virtual COM port (UM2407). Chapters are of the reference manual
 *  RM0433.
 *
 *  480 MHz need the voltage of VOS0, which silicon from revision V on has (data sheet DS12110); this board carries such a
 *  part, other than the older NUCLEO-H743ZI. On revision Y, which ends at 400 MHz, the processor stays on the oscillator
 *  and says so, for a board that runs at another clock than asked for would report wrong figures.
 *
 *  The internal oscillator needs nothing on the board: the 8 MHz from the ST-LINK come over solder bridges. It is trimmed
 *  to 1 %. Counts of cycles are exact whatever its error; microseconds carry it. */
#include "te_cortexm7.h"
#include "te_stm32.h"
#include "te_stm32_usart.h"

/* "Reset and Clock Control (RCC)". */
#define TE_RCC_CR TE_REGISTER(0x58024400u)
#define TE_RCC_CFGR TE_REGISTER(0x58024410u)
#define TE_RCC_D1CFGR TE_REGISTER(0x58024418u)
#define TE_RCC_D2CFGR TE_REGISTER(0x5802441Cu)
#define TE_RCC_D3CFGR TE_REGISTER(0x58024420u)
#define TE_RCC_PLLCKSELR TE_REGISTER(0x58024428u)
#define TE_RCC_PLLCFGR TE_REGISTER(0x5802442Cu)
#define TE_RCC_PLL1DIVR TE_REGISTER(0x58024430u)
#define TE_RCC_AHB4ENR TE_REGISTER(0x580244E0u)
#define TE_RCC_APB1LENR TE_REGISTER(0x580244E8u)
#define TE_RCC_APB4ENR TE_REGISTER(0x580244F4u)
#define TE_RCC_CR_HSION (1u << 0)
#define TE_RCC_CR_HSIRDY (1u << 2)
#define TE_RCC_CR_HSIDIV (3u << 3)
#define TE_RCC_CR_HSIDIVF (1u << 5)
#define TE_RCC_CR_PLL1ON (1u << 24)
#define TE_RCC_CR_PLL1RDY (1u << 25)
#define TE_RCC_CFGR_SW 7u
#define TE_RCC_CFGR_SW_PLL1 3u
#define TE_RCC_CFGR_SWS (7u << 3)
#define TE_RCC_CFGR_SWS_PLL1 (3u << 3)
/* Input of 8 to 16 MHz, wide oscillator range, output P alone, no fraction. */
#define TE_RCC_PLLCFGR_VALUE ((3u << 2) | (1u << 16))
#define TE_RCC_PLL1DIVR_VALUE ((TE_CLOCK_PLL_N - 1u) | ((TE_CLOCK_PLL_DIVIDER - 1u) << 9) | (1u << 16) | (1u << 24))
#define TE_RCC_AHB4ENR_GPIOD (1u << 3)
#define TE_RCC_APB1LENR_USART3 (1u << 18)
#define TE_RCC_APB4ENR_SYSCFG (1u << 1)

#if TE_CLOCK_OSCILLATOR_HZ / TE_CLOCK_PLL_M < 8000000u || TE_CLOCK_OSCILLATOR_HZ / TE_CLOCK_PLL_M > 16000000u
#error "PLL1 is set for an input of 8 to 16 MHz"
#endif

/* "Power control (PWR)". */
#define TE_PWR_CSR1 TE_REGISTER(0x58024804u)
#define TE_PWR_D3CR TE_REGISTER(0x58024818u)
#define TE_PWR_CSR1_ACTVOSRDY (1u << 13)
#define TE_PWR_D3CR_VOSRDY (1u << 13)
#define TE_PWR_D3CR_VOS_SCALE_1 (3u << 14)

/* "System configuration controller (SYSCFG)". */
#define TE_SYSCFG_PWRCR TE_REGISTER(0x5800042Cu)
#define TE_SYSCFG_PWRCR_ODEN 1u

/* "Embedded flash memory (FLASH)": the wait states, and the delay of signals for the same clock. */
#define TE_FLASH_ACR TE_REGISTER(0x52002000u)
#define TE_FLASH_ACR_LATENCY 15u
#define TE_FLASH_ACR_WRHIGHFREQ_ABOVE_185_MHZ (2u << 4)

/* "Debug infrastructure": REV_ID is 0x1001 for revision Z, 0x1003 for Y, 0x2001 for X, 0x2003 for V. */
#define TE_DBGMCU_IDC TE_REGISTER(0x5C001000u)
#define TE_DBGMCU_REVISION_V (0x2003u << 16)

/* Errata ES0392, "Reading from AXI SRAM may lead to data read corruption" on revision Y: one read at a time (chapter "AXI
 * interconnect", AXI_TARG7_FN_MOD). */
#define TE_AXI_TARG7_FN_MOD TE_REGISTER(0x51008108u)

#define TE_GPIOD ((te_stm32_gpio *)0x58020C00u)
#define TE_SERIAL ((te_stm32_usart *)0x40004800u) /* USART3. */
#define TE_USART3_FUNCTION 7u /* Data sheet DS12110, "alternate functions". */

#include "te_stm32_board.h"
#include "te_unique_id.h"

static const char *te_source;

/* "System supply configuration" in the chapter on PWR: from power-on until the supply is stated the RAM must not be
 * written, so this comes before the first push. LDOEN 1, BYPASS 0 and SCUEN 0, in one write, which the hardware takes
 * once: this board feeds the core from the regulator of the part. The wait is bounded; te_start_pll() looks again. */
__attribute__((naked)) void te_board_before_ram(void) {
    __asm__ volatile("ldr r0, =0x58024800\n\t" /* PWR */
                     "ldr r1, [r0, #0x0C]\n\t" /* CR3 */
                     "bic r1, r1, #7\n\t"
                     "orr r1, r1, #2\n\t"
                     "str r1, [r0, #0x0C]\n\t"
                     "ldr r2, =50000\n"
                     "1:\n\t"
                     "ldr r1, [r0, #0x04]\n\t" /* CSR1 */
                     "tst r1, #0x2000\n\t"     /* ACTVOSRDY */
                     "bne 2f\n\t"
                     "subs r2, r2, #1\n\t"
                     "bne 1b\n"
                     "2:\n\t"
                     "bx lr\n\t"
                     ".ltorg");
}

/* "VOS0 activation" in the chapter on PWR: scale 1 first, then over-drive on top of it. */
static bool te_raise_voltage(void) {
    if (!te_stm32_wait(&TE_PWR_CSR1, TE_PWR_CSR1_ACTVOSRDY, TE_PWR_CSR1_ACTVOSRDY)) {
        return false;
    }
    TE_PWR_D3CR |= TE_PWR_D3CR_VOS_SCALE_1;
    (void)TE_PWR_D3CR;
    if (!te_stm32_wait(&TE_PWR_D3CR, TE_PWR_D3CR_VOSRDY, TE_PWR_D3CR_VOSRDY)) {
        return false;
    }
    te_stm32_enable(&TE_RCC_APB4ENR, TE_RCC_APB4ENR_SYSCFG);
    TE_SYSCFG_PWRCR |= TE_SYSCFG_PWRCR_ODEN;
    (void)TE_SYSCFG_PWRCR;
    return te_stm32_wait(&TE_PWR_D3CR, TE_PWR_D3CR_VOSRDY, TE_PWR_D3CR_VOSRDY);
}

/* Leaves the processor on the 64 MHz oscillator, and returns false, where a step does not come. */
static bool te_start_pll(void) {
    TE_RCC_CR |= TE_RCC_CR_HSION;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_HSIRDY, TE_RCC_CR_HSIRDY)) {
        return false;
    }
    /* A boot loader may have left us on the PLL, which can only be set while it is off, or the oscillator divided. */
    TE_RCC_CFGR &= ~TE_RCC_CFGR_SW;
    if (!te_stm32_wait(&TE_RCC_CFGR, TE_RCC_CFGR_SWS, 0u)) {
        return false;
    }
    TE_RCC_CR &= ~TE_RCC_CR_PLL1ON;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_PLL1RDY, 0u)) {
        return false;
    }
    TE_RCC_CR &= ~TE_RCC_CR_HSIDIV;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_HSIDIVF, TE_RCC_CR_HSIDIVF) || !te_raise_voltage()) {
        return false;
    }
    TE_RCC_PLLCKSELR = TE_CLOCK_PLL_M << 4; /* PLLSRC 0: the internal oscillator; the other PLLs stay without input. */
    TE_RCC_PLLCFGR = TE_RCC_PLLCFGR_VALUE;
    TE_RCC_PLL1DIVR = TE_RCC_PLL1DIVR_VALUE;
    TE_RCC_CR |= TE_RCC_CR_PLL1ON;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_PLL1RDY, TE_RCC_CR_PLL1RDY)) {
        return false;
    }
    TE_FLASH_ACR = TE_CLOCK_FLASH_WAIT_STATES | TE_FLASH_ACR_WRHIGHFREQ_ABOVE_185_MHZ;
    if (!te_stm32_wait(&TE_FLASH_ACR, TE_FLASH_ACR_LATENCY, TE_CLOCK_FLASH_WAIT_STATES)) {
        return false;
    }
    /* The processor runs at the PLL's clock (D1CPRE 0); AXI and the AHBs at HPRE of it; the APBs at theirs of that. */
    TE_RCC_D1CFGR = TE_STM32_AHB_BITS(TE_CLOCK_AHB_DIVIDER) | (TE_STM32_APB_BITS(TE_CLOCK_APB3_DIVIDER) << 4);
    TE_RCC_D2CFGR = (TE_STM32_APB_BITS(TE_CLOCK_APB1_DIVIDER) << 4) | (TE_STM32_APB_BITS(TE_CLOCK_APB2_DIVIDER) << 8);
    TE_RCC_D3CFGR = TE_STM32_APB_BITS(TE_CLOCK_APB4_DIVIDER) << 4;
    TE_RCC_CFGR |= TE_RCC_CFGR_SW_PLL1;
    if (!te_stm32_wait(&TE_RCC_CFGR, TE_RCC_CFGR_SWS, TE_RCC_CFGR_SWS_PLL1)) {
        TE_RCC_CFGR &= ~TE_RCC_CFGR_SW;
        TE_RCC_D1CFGR = 0;
        TE_RCC_D2CFGR = 0;
        TE_RCC_D3CFGR = 0;
        return false;
    }
    return true;
}

void te_board_init(void) {
    const bool has_vos0 = TE_DBGMCU_IDC >= TE_DBGMCU_REVISION_V;
    if (!has_vos0) {
        TE_AXI_TARG7_FN_MOD = 1u;
    }
    te_cortexm7_start_caches();
    te_on_pll = has_vos0 && te_start_pll();
    te_source = te_on_pll  ? "PLL from HSI"
                : has_vos0 ? "HSI (the PLL did not start)"
                           : "HSI (this silicon is older than revision V and has no 480 MHz)";
    te_stm32_enable(&TE_RCC_AHB4ENR, TE_RCC_AHB4ENR_GPIOD);
    te_stm32_enable(&TE_RCC_APB1LENR, TE_RCC_APB1LENR_USART3);
    te_stm32_start_serial();
    te_stm32_serial_pin(TE_GPIOD, 8, TE_USART3_FUNCTION);
    te_stm32_serial_pin(TE_GPIOD, 9, TE_USART3_FUNCTION);
    te_cortexm_start_counter();
}

const char *te_board_clock_source(void) {
    return te_source;
}
