# SPDX-License-Identifier: Apache-2.0
# te_reserve_store(): sets TE_LINK_* for the linker script from TE_BOARD_* and ENROLL_CLASSES. An image that learns
# classes leaves the board's store, two slots, out of the flash that it fills: at the flash's end, or after its first
# sectors, of which then the vectors alone are used.
function(te_reserve_store)
  set(flash_origin "${TE_BOARD_flash_origin}")
  set(flash_bytes "${TE_BOARD_flash_bytes}")
  set(head_bytes 0)
  set(head_section "")
  if(ENROLL_CLASSES)
    if(NOT TE_BOARD_store_source)
      message(FATAL_ERROR "${BOARD} has no store for learned classes: describe one in its .toml file, or build without "
                          "-DENROLL_CLASSES")
    endif()
    math(EXPR flash_end "${flash_origin} + ${flash_bytes}")
    math(EXPR store_end "${TE_BOARD_store_origin} + 2 * ${TE_BOARD_store_slot_bytes}")
    if(store_end EQUAL flash_end)
      math(EXPR flash_bytes "${TE_BOARD_store_origin} - ${flash_origin}")
    else()
      math(EXPR head_bytes "${TE_BOARD_store_origin} - ${flash_origin}")
      math(EXPR flash_bytes "${flash_end} - ${store_end}")
      math(EXPR flash_origin "${store_end}" OUTPUT_FORMAT HEXADECIMAL)
      set(head_section "    .head : { KEEP(*(.vectors)) } > HEAD\n")
    endif()
  endif()
  foreach(name IN ITEMS flash_origin flash_bytes head_bytes head_section)
    set("TE_LINK_${name}" "${${name}}" PARENT_SCOPE)
  endforeach()
endfunction()
