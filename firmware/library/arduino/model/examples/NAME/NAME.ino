// SPDX-License-Identifier: Apache-2.0
// Runs one inference a second, compares its output with the golden one and prints how long that took.
#include <@NAME@_golden.h>

void setup() {
    Serial.begin(115200);
    (void)@NAME@_init();
}

void loop() {
    uint32_t crc32 = 0;
    const unsigned long start_us = micros();
    const te_status status = @NAME@_golden_check(&crc32);
    const unsigned long latency_us = micros() - start_us;

    Serial.print("@NAME@: CRC-32 ");
    Serial.print((unsigned long)crc32, HEX);
    Serial.print(status == TE_OK ? ", " @UPPER@_GOLDEN_SAME : ", WRONG");
    Serial.print(" in ");
    Serial.print(latency_us);
    Serial.println(" us");
    delay(1000);
}
