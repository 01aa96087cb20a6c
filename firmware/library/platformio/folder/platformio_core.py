# SPDX-License-Identifier: Apache-2.0
# Run by PlatformIO when it builds this library: a Cortex-M7 without double precision is a Cortex-M4 to what the
# compiler predefines, so it has to be told.
Import("env")  # noqa: F821

if env.get("BOARD") and env.BoardConfig().get("build.cpu", "") == "cortex-m7":  # noqa: F821
    env.Append(CCFLAGS=["-DTE_LOADS_APART=1"])  # noqa: F821
