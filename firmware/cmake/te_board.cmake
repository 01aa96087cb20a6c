# SPDX-License-Identifier: Apache-2.0
# te_read_board(FILE): sets TE_BOARD_<key> and TE_BOARD_<section>_<key> in the caller from a board's TOML file, and
# te_board_definitions to TE_<SECTION>_<KEY>=<value> for each number in its [clock], [cmsdk_uart] and [unique_id]. It reads the
# lines that those files are made of, `[section]` and `key = value`; not TOML in general.
function(te_read_board file)
  file(STRINGS "${file}" lines ENCODING UTF-8)
  set(section "")
  set(definitions "")
  foreach(line IN LISTS lines)
    if(line MATCHES "^\\[([a-z0-9_]+)\\]$")
      set(section "${CMAKE_MATCH_1}_")
    elseif(line MATCHES "^([a-z0-9_]+) = \"([^\"]*)\"$")
      set("TE_BOARD_${section}${CMAKE_MATCH_1}" "${CMAKE_MATCH_2}" PARENT_SCOPE)
    elseif(line MATCHES "^([a-z0-9_]+) = ([0-9a-fA-Fx]+)$")
      set("TE_BOARD_${section}${CMAKE_MATCH_1}" "${CMAKE_MATCH_2}" PARENT_SCOPE)
      set(value "${CMAKE_MATCH_2}")
      string(TOUPPER "${section}${CMAKE_MATCH_1}" key)
      if(section MATCHES "^(clock|cmsdk_uart|unique_id)_$")
        list(APPEND definitions "TE_${key}=${value}u")
      endif()
    elseif(NOT line MATCHES "^(#.*)?$")
      message(FATAL_ERROR "${file}: not a comment, a [section] or a key = value line: ${line}")
    endif()
  endforeach()
  set(te_board_definitions "${definitions}" PARENT_SCOPE)
endfunction()

# te_find_board_source(NAME RESULT): sets RESULT in the caller to a board's C file, which lies beside its description or is one
# of boards/.
function(te_find_board_source name result)
  foreach(candidate IN ITEMS "${te_board_dir}/${name}" "${CMAKE_CURRENT_SOURCE_DIR}/boards/${name}")
    if(name AND EXISTS "${candidate}")
      set("${result}" "${candidate}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "${te_board_file} names the C file '${name}', which is neither beside it nor in firmware/boards: "
                      "write it there, or correct `source`")
endfunction()
