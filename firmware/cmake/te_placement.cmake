# SPDX-License-Identifier: Apache-2.0
# te_place_model(): sets TE_LINK_* for the linker script from KERNELS_IN and WEIGHTS_IN. What is asked for in RAM lies
# in the flash as well, from where te_start() copies it, and is read without the flash's wait states. RAM that the board
# gives up for its code is no longer in TE_RAM_origin and TE_RAM_bytes.
function(te_place_model)
  foreach(what IN ITEMS kernels weights)
    string(TOUPPER "${what}_IN" place)
    if(NOT "${${place}}" MATCHES "^(flash|ram)$")
      message(FATAL_ERROR "no place ${${place}} for ${what}: -D${place}=flash or -D${place}=ram")
    endif()
    set("TE_LINK_but_${what}" "" PARENT_SCOPE)
    set("TE_LINK_${what}_section" "" PARENT_SCOPE)
  endforeach()
  if(KERNELS_IN STREQUAL ram)
    if(NOT TE_BOARD_code_ram_bytes)
      message(FATAL_ERROR "${BOARD} has no memory for code beside its flash: describe one as [code_ram] in its .toml "
                          "file, or build without -DKERNELS_IN=ram")
    endif()
    # Functions in assembly begin at a line of 32 bytes.
    te_copied_section(kernels 32 "*libte_model.a:*(.text .text.*)" CODE)
    set(TE_LINK_but_kernels "EXCLUDE_FILE(*libte_model.a:*)" PARENT_SCOPE)
    set(TE_LINK_kernels_section "${copied}" PARENT_SCOPE)
    set_property(SOURCE boards/te_cortexm.c "${te_board_source}" APPEND PROPERTY COMPILE_DEFINITIONS TE_KERNELS_IN_RAM)
    if(TE_BOARD_code_ram_sram_bytes AND RAM STREQUAL sram)
      set(TE_RAM_origin "${TE_BOARD_code_ram_sram_origin}" PARENT_SCOPE)
      set(TE_RAM_bytes "${TE_BOARD_code_ram_sram_bytes}" PARENT_SCOPE)
    endif()
  endif()
  if(WEIGHTS_IN STREQUAL ram)
    te_copied_section(weights 16 "*libte_model.a:*model.c.obj(.rodata .rodata.*)" SRAM)
    set(TE_LINK_but_weights "EXCLUDE_FILE(*libte_model.a:*model.c.obj)" PARENT_SCOPE)
    set(TE_LINK_weights_section "${copied}" PARENT_SCOPE)
    set_property(SOURCE boards/te_cortexm.c "${te_board_source}" APPEND PROPERTY COMPILE_DEFINITIONS TE_WEIGHTS_IN_RAM)
  endif()
endfunction()

# te_copied_section(NAME ALIGNMENT INPUTS REGION): sets `copied` in the caller to an output section in RAM that is loaded
# from the flash, between te_NAME_start and te_NAME_end.
function(te_copied_section name alignment inputs region)
  string(CONCAT section
    "    .${name} :\n    {\n        . = ALIGN(${alignment});\n        te_${name}_start = .;\n        ${inputs}\n"
    "        . = ALIGN(4);\n        te_${name}_end = .;\n    } > ${region} AT > FLASH\n"
    "    te_${name}_load = LOADADDR(.${name});\n")
  set(copied "${section}" PARENT_SCOPE)
endfunction()
