/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_protocol.h
 *  The serial protocol as a state machine fed byte by byte. It touches no hardware: what it needs of a board comes in
 *  as functions, what it needs of the model through te_runtime.h. So the same code runs on a host under sanitizers.
 *
 *  A command ends with '%'. Every answer is lines that end with "\r\n", the last of them "m-ready". The commands are
 *  those of the MLPerf Tiny runner (name, profile, timestamp, help, db, infer, results) and our own (te ...; those that learn are in te_learning.h). */
#ifndef TE_PROTOCOL_H
#define TE_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "te_learning.h"

/** Longest command without its '%', as in MLPerf's API. */
#define TE_COMMAND_CHARS 80

/** What the bytes of `db` mean; the device makes the model's inputs of them before each inference. */
typedef enum {
    TE_DB_RAW,    /**< They are the inputs one after the other, little-endian: copied as they are. */
    TE_DB_UINT8,  /**< Pixels 0..255 (MLPerf ic01 and vww01): through `pixels`, or 128 is subtracted. */
    TE_DB_FLOAT32 /**< Little-endian float32, 4 bytes a value: quantised with the input's scale (MLPerf ad01). The
                       model is an autoencoder, whose output has as many values as its input. */
} te_db_encoding;

/** Of a pixel, red first. */
#define TE_PIXEL_CHANNELS 3

/** The int8 input of each pixel value of a channel. */
typedef int8_t te_pixel_values[256];

/** What the protocol needs of its surroundings. All pointers stay valid for the life of the protocol. */
typedef struct {
    const char *device;      /**< For `name`. */
    const char *version;     /**< Of the firmware. */
    const char *mlperf_id;   /**< "ic01", "vww01", "kws01", "ad01", or "" for a model of one's own. */
    const char *cpu;         /**< "cortex-m4" */
    const char *clock;       /**< Where the clock comes from. */
    const char *count_unit;  /**< "cycles" or "ticks" */
    const uint32_t *unique_id; /**< NULL where the part has none. */
    uint32_t unique_id_words;
    uint32_t clock_hz;
    uint32_t stack_bytes;
    const te_pixel_values *pixels; /**< TE_PIXEL_CHANNELS of them, of a model with a normalisation of its own; or NULL. */
    uint8_t *db;             /**< Holds the loaded input. */
    uint32_t db_bytes;       /**< Its capacity. */
    void (*put)(char byte);  /**< Sends one byte. */
    uint64_t (*microseconds)(void);
    uint64_t (*count)(void); /**< Rises by `count_unit`. */
    uint32_t (*wait)(uint32_t counts); /**< Until it has risen so often; returns how many looks at it that took. */
    uint32_t (*stack_used_bytes)(void);
    te_learning *learning; /**< In images built with TE_ENROLL_CLASSES, else never used. */
} te_protocol_config;

/** State; all members are private. */
typedef struct {
    te_protocol_config config;
    te_db_encoding encoding;
    char command[TE_COMMAND_CHARS + 1];
    uint32_t length;
    bool overlong;
    uint32_t expected_bytes; /**< Of the last valid `db load`; 0 where there was none. */
    uint32_t stored_bytes;
    bool has_output;
    float score;             /**< Of the last output, where the input is TE_DB_FLOAT32. */
    bool has_count;
    uint64_t count;          /**< Of the last inference of `infer`. */
    uint64_t count_overhead; /**< What measuring nothing counts. */
    uint64_t look;            /**< What a look at the clock takes, in thousandths of a count, times 2^16. */
    uint64_t layer_overhead;  /**< What measuring no layer takes, in thousandths of a count. */
    uint64_t layer_start;     /**< In thousandths of a count. */
} te_protocol;

/** Prepares the state. te_runtime_init() has succeeded before. */
void te_protocol_init(te_protocol *protocol, const te_protocol_config *config);

/** Says "m-init-done" and "m-ready". */
void te_protocol_greet(const te_protocol *protocol);

/** Takes one received byte; a '%' runs the command, and its answer is sent before this returns. */
void te_protocol_feed(te_protocol *protocol, char byte);

#endif /* TE_PROTOCOL_H */
