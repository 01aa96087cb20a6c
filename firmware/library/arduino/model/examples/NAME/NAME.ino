// SPDX-License-Identifier: Apache-2.0
// Runs an inference a second, compares its output with the golden one, and prints how long an inference takes.
#include <@NAME@_golden.h>

void setup() {
    Serial.begin(115200);
    (void)@NAME@_init();
}

void loop() {
    uint32_t crc32 = 0;
    const te_status status = @NAME@_golden_check(&crc32);
    const unsigned long start_us = micros();
    (void)@NAME@_invoke();
    const unsigned long latency_us = micros() - start_us;

    char line[128];
    snprintf(line, sizeof line, "@NAME@: CRC-32 %08lx, %s in %lu us", (unsigned long)crc32,
             status == TE_OK ? @UPPER@_GOLDEN_SAME : "WRONG", latency_us);
    Serial.println(line);
    delay(1000);
}
