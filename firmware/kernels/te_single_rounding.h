/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_single_rounding.h
 *  Products that are rounded before they are added to anything.
 *
 *  ISO C lets a compiler join a product and a sum to one instruction that rounds once, and GCC does so unless it is asked
 *  for ISO C or -ffp-contract=off; then the last bit depends on the processor. It cannot across a volatile variable. */
#ifndef TE_SINGLE_ROUNDING_H
#define TE_SINGLE_ROUNDING_H

static inline float te_rounded_f32(float product) {
    volatile float rounded = product;
    return rounded;
}

static inline double te_rounded_f64(double product) {
    volatile double rounded = product;
    return rounded;
}

#endif /* TE_SINGLE_ROUNDING_H */
