import pytest

from tinyedge.errors import TargetError
from tinyedge.firmware.link_map import read_link_map

TEXT = """\
Discarded input sections

 .rodata.gone   0x00000000      0x999 libte_model.a(model.c.obj)

Linker script and memory map

.text           0x00000000      0x500
 .text.te_a     0x00000040      0x100 libte_model.a(te_a.c.obj)
 .text.a_function_with_a_long_name
                0x00000140       0x20 /tmp/x/libte_model.a(model.c.obj)
 *fill*         0x00000160        0x2

.rodata         0x00000500      0x300
 *(.rodata .rodata.*)
 .rodata.str1.1
                0x00000500       0x10 libte_model.a(model.c.obj)
                                 0x18 (size before relaxing)
 .rodata.w      0x00000510       0x20 libte_model.a(model.c.obj)
 .rodata.w      0x00000530       0x08 libte_model.a(model.c.obj)
 .rodata.w      0x00000540       0x40 libte_model.a(te_a.c.obj)

.bss            0x20000000       0x30
 .bss.arena     0x20000000       0x20 libte_model.a(model.c.obj)
 COMMON         0x20000020        0x8 libte_model.a(te_a.c.obj)
 .bss           0x20000028        0x8 CMakeFiles/tinyedge.dir/app/main.c.obj
"""


def test_sizes_by_object_and_section(tmp_path):
    path = tmp_path / "x.map"
    path.write_text(TEXT)
    linked = read_link_map(path)
    assert linked.output_bytes(".text") == 0x500
    assert linked.output_bytes(".bss") == 0x30
    assert linked.output_bytes(".data") == 0
    assert linked.input_bytes("libte_model.a(model.c.obj)", ".rodata") == 0x38
    assert linked.input_bytes("libte_model.a", ".rodata") == 0x78
    assert linked.input_bytes("libte_model.a", ".text") == 0x120
    assert linked.input_bytes("libte_model.a", ".bss") == 0x28
    assert linked.input_bytes("libte_mod", ".bss") == 0


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "x.map"
    path.write_text("# Symbols of another linker\n")
    with pytest.raises(TargetError, match="not a map file"):
        read_link_map(path)
