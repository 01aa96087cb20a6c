/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_qemu_plugin.h
 *  What the plug-in calls of QEMU, and QEMU of it (docs/devel/tcg-plugins.rst, "API"). Distributions ship QEMU without the
 *  header of this interface, so the few functions are declared here.
 *
 *  TE_QEMU_PLUGIN_API is the version of the interface that the plug-in is compiled for; QEMU refuses another. */
#ifndef TE_QEMU_PLUGIN_H
#define TE_QEMU_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TE_QEMU_EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct qemu_info_t qemu_info_t; /* Not looked into. */
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum { TE_QEMU_NO_REGISTERS = 0 };
enum { TE_QEMU_READS_AND_WRITES = 3 };

extern TE_QEMU_EXPORT int qemu_plugin_version;
TE_QEMU_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv);

void qemu_plugin_reset(qemu_plugin_id_t id, void (*call)(qemu_plugin_id_t));
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*call)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*call)(unsigned, void *), int registers,
                                            void *context);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
                                      void (*call)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *), int registers,
                                      int accesses, void *context);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
#if TE_QEMU_PLUGIN_API >= 3
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *data, size_t bytes);
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
#endif
unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);

#endif /* TE_QEMU_PLUGIN_H */
