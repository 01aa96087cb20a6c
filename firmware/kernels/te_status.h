/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_status.h
 *  What every fallible function of the firmware returns. */
#ifndef TE_STATUS_H
#define TE_STATUS_H

typedef enum {
    TE_OK = 0,
    TE_ERR_ARGUMENT,    /**< An argument is out of its documented range. */
    TE_ERR_SIZE,        /**< A buffer is too small or a length does not match. */
    TE_ERR_STATE,       /**< Called in the wrong order. */
    TE_ERR_UNSUPPORTED, /**< This build cannot do it. */
    TE_ERR_HARDWARE     /**< A peripheral did not answer within its bound. */
} te_status;

#endif /* TE_STATUS_H */
