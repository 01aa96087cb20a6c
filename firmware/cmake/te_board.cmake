# SPDX-License-Identifier: Apache-2.0
# te_read_board(FILE): sets TE_BOARD_<key> and TE_BOARD_<section>_<key> in the caller from a board's TOML file. It reads
# the lines that those files are made of, `[section]` and `key = value`; not TOML in general.
function(te_read_board file)
  file(STRINGS "${file}" lines ENCODING UTF-8)
  set(section "")
  foreach(line IN LISTS lines)
    if(line MATCHES "^\\[([a-z0-9_]+)\\]$")
      set(section "${CMAKE_MATCH_1}_")
    elseif(line MATCHES "^([a-z0-9_]+) = \"([^\"]*)\"$")
      set("TE_BOARD_${section}${CMAKE_MATCH_1}" "${CMAKE_MATCH_2}" PARENT_SCOPE)
    elseif(line MATCHES "^([a-z0-9_]+) = ([0-9a-fA-Fx]+)$")
      set("TE_BOARD_${section}${CMAKE_MATCH_1}" "${CMAKE_MATCH_2}" PARENT_SCOPE)
    elseif(NOT line MATCHES "^(#.*)?$")
      message(FATAL_ERROR "${file}: not a comment, a [section] or a key = value line: ${line}")
    endif()
  endforeach()
endfunction()
