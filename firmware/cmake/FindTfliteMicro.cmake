# SPDX-License-Identifier: Apache-2.0
# Finds the library that upstream's cortex_m_generic target makes, and refuses one that would not run on the board.
#
# In:  TFLM_ROOT     a checkout of tflite-micro, as a variable of CMake or of the environment
#      TFLM_LIBRARY  a libtensorflow-microlite.a (the same); needed where several in TFLM_ROOT/gen fit the board
#      te_cpu_flags, BOARD, TE_BOARD_cpu
# Out: TfliteMicro::TfliteMicro, with the definitions that the library was compiled with
#
# Most of what can be wrong with a library links without a word and faults on the board, so it is read here: the
# attributes that the compiler left in each object, and the symbols that only some definitions bring.
foreach(variable IN ITEMS TFLM_ROOT TFLM_LIBRARY)
  if(NOT ${variable})
    set(${variable} "$ENV{${variable}}")
  endif()
endforeach()

# --- What upstream's build is called for this board ---------------------------------------------------------------

set(te_tflm_arch "${TE_BOARD_cpu}")
if("${te_cpu_flags}" MATCHES "-mfloat-abi=hard" AND TE_BOARD_cpu MATCHES "^cortex-m[47]$")
  string(APPEND te_tflm_arch "+fp")
endif()
set(te_tflm_make
    "make -f tensorflow/lite/micro/tools/make/Makefile TARGET=cortex_m_generic TARGET_ARCH=${te_tflm_arch} \
OPTIMIZED_KERNEL_DIR=cmsis_nn BUILD_TYPE=release")
set(te_tflm_hint "in TFLM_ROOT run `${te_tflm_make} microlite`")

# --- Headers ------------------------------------------------------------------------------------------------------

if(NOT TFLM_ROOT)
  message(FATAL_ERROR "TFLM_ROOT is not set: name a checkout of github.com/tensorflow/tflite-micro with it, and "
                      "${te_tflm_hint}")
endif()
get_filename_component(TFLM_ROOT "${TFLM_ROOT}" ABSOLUTE)
if(NOT IS_DIRECTORY "${TFLM_ROOT}")
  message(FATAL_ERROR "TFLM_ROOT is no folder: ${TFLM_ROOT}")
endif()
set(te_tflm_downloads "${TFLM_ROOT}/tensorflow/lite/micro/tools/make/downloads")
set(te_tflm_includes "${TFLM_ROOT}" "${te_tflm_downloads}/flatbuffers/include" "${te_tflm_downloads}/gemmlowp")
set(te_tflm_headers tensorflow/lite/micro/micro_interpreter.h flatbuffers/flatbuffers.h fixedpoint/fixedpoint.h)
foreach(folder header IN ZIP_LISTS te_tflm_includes te_tflm_headers)
  if(NOT EXISTS "${folder}/${header}")
    message(FATAL_ERROR "TFLite Micro's header ${header} is not in ${folder}: TFLM_ROOT has to be a checkout of "
                        "tflite-micro; ${te_tflm_hint}, which downloads the rest")
  endif()
endforeach()

list(TRANSFORM te_tflm_includes PREPEND "-I" OUTPUT_VARIABLE te_tflm_include_flags)
file(WRITE "${CMAKE_BINARY_DIR}/te_probe.cc" "#include <new>\n")
execute_process(
  COMMAND ${CMAKE_CXX_COMPILER} ${te_cpu_flags} ${te_tflm_include_flags} -E "${CMAKE_BINARY_DIR}/te_probe.cc"
  RESULT_VARIABLE te_failed OUTPUT_QUIET ERROR_QUIET)
if(te_failed)
  message(FATAL_ERROR "${CMAKE_CXX_COMPILER} has no C++ headers, which TFLite Micro's include: install "
                      "libstdc++-arm-none-eabi-newlib")
endif()

# --- Libraries ----------------------------------------------------------------------------------------------------

# te_read_abi(FILE PREFIX): sets PREFIX_<tag> to the values that the tag has in the objects of FILE, none twice, and
# PREFIX_double to whether an object may use the double-precision unit.
set(te_abi_tags Tag_CPU_arch Tag_ABI_VFP_args Tag_FP_arch Tag_MVE_arch)
function(te_read_abi file prefix)
  execute_process(COMMAND ${CMAKE_READELF} -A "${file}" OUTPUT_VARIABLE text ERROR_QUIET)
  foreach(tag IN LISTS te_abi_tags)
    string(REGEX MATCHALL "${tag}: [^\n]+" values "${text}")
    list(REMOVE_DUPLICATES values)
    list(TRANSFORM values REPLACE "^${tag}: " "")
    list(JOIN values " and " values)
    set(${prefix}_${tag} "${values}" PARENT_SCOPE)
  endforeach()
  string(REGEX MATCHALL "Tag_FP_arch: " with_unit "${text}")
  string(REGEX MATCHALL "Tag_ABI_HardFP_use: SP only" single "${text}")
  list(LENGTH with_unit with_unit)
  list(LENGTH single single)
  if(with_unit GREATER single)
    set(${prefix}_double TRUE PARENT_SCOPE)
  else()
    set(${prefix}_double FALSE PARENT_SCOPE)
  endif()
endfunction()

file(WRITE "${CMAKE_BINARY_DIR}/te_probe.c" "int te_probe;\n")
execute_process(COMMAND ${CMAKE_C_COMPILER} ${te_cpu_flags} -c "${CMAKE_BINARY_DIR}/te_probe.c" -o
                        "${CMAKE_BINARY_DIR}/te_probe.o" COMMAND_ERROR_IS_FATAL ANY)
te_read_abi("${CMAKE_BINARY_DIR}/te_probe.o" te_board)

# te_judge_library(FILE): sets te_misfit to why the board cannot run it, "" if it can, and te_symbols to its functions.
# The reasons go into a list, so they hold no semicolon.
function(te_judge_library file)
  te_read_abi("${file}" library)
  execute_process(COMMAND ${CMAKE_NM} --defined-only "${file}" OUTPUT_VARIABLE symbols ERROR_QUIET)
  string(REGEX MATCHALL " [TW] [A-Za-z0-9_]+" symbols "${symbols}")
  list(TRANSFORM symbols REPLACE "^ [TW] " "")
  set(te_symbols "${symbols}" PARENT_SCOPE)
  set(misfit "")
  if(NOT library_Tag_CPU_arch)
    set(misfit "holds no code for Arm: ${te_tflm_hint}")
  elseif(NOT library_Tag_CPU_arch STREQUAL te_board_Tag_CPU_arch)
    set(misfit "is compiled for the architecture ${library_Tag_CPU_arch}, and ${BOARD} has ${te_board_Tag_CPU_arch}: \
${te_tflm_hint}")
  elseif(NOT library_Tag_ABI_VFP_args STREQUAL te_board_Tag_ABI_VFP_args)
    set(abi_of_library soft)
    set(abi_of_board soft)
    if(library_Tag_ABI_VFP_args)
      set(abi_of_library hard)
    endif()
    if(te_board_Tag_ABI_VFP_args)
      set(abi_of_board hard)
    endif()
    set(misfit "has the float ABI ${abi_of_library}, and ${BOARD} has ${abi_of_board}: ${te_tflm_hint}")
  elseif(NOT library_Tag_FP_arch STREQUAL te_board_Tag_FP_arch OR NOT library_Tag_MVE_arch STREQUAL
                                                                  te_board_Tag_MVE_arch)
    set(misfit "is compiled for other units (${library_Tag_FP_arch} ${library_Tag_MVE_arch}) than ${BOARD} has \
(${te_board_Tag_FP_arch} ${te_board_Tag_MVE_arch}): ${te_tflm_hint}")
  elseif(library_double AND NOT te_board_double)
    string(REGEX MATCH "-mfpu=([a-z0-9-]+)" fpu "${te_cpu_flags}")
    set(misfit "may use a double-precision unit, which ${BOARD} lacks: in TFLM_ROOT run `${te_tflm_make} \
FPU=${CMAKE_MATCH_1} microlite`")
  elseif("TfLiteTensorRealloc" IN_LIST symbols OR "TfLiteIntArrayCreate" IN_LIST symbols)
    set(misfit "is compiled without TF_LITE_STATIC_MEMORY, so its structs have another layout than those that the \
firmware is compiled with, and it would link and then fault on the board: ${te_tflm_hint}")
  elseif(NOT "_ZN6tflite16MicroInterpreter6InvokeEv" IN_LIST symbols)
    set(misfit "has no tflite::MicroInterpreter::Invoke(): ${te_tflm_hint}")
  elseif("_Z11MicroPrintfPKcz" IN_LIST symbols)
    set(misfit "is compiled without TF_LITE_STRIP_ERROR_STRINGS, so its messages would take flash: ${te_tflm_hint}")
  endif()
  set(te_misfit "${misfit}" PARENT_SCOPE)
endfunction()

if(TFLM_LIBRARY)
  if(NOT EXISTS "${TFLM_LIBRARY}")
    message(FATAL_ERROR "TFLM_LIBRARY is no file: ${TFLM_LIBRARY}")
  endif()
  set(te_tflm_libraries "${TFLM_LIBRARY}")
else()
  set(te_tflm_pattern "${TFLM_ROOT}/gen/*/lib/libtensorflow-microlite.a")
  file(GLOB te_tflm_libraries "${te_tflm_pattern}")
  if(NOT te_tflm_libraries)
    message(FATAL_ERROR "no ${te_tflm_pattern}: ${te_tflm_hint}")
  endif()
endif()
set(te_tflm_fitting "")
set(te_tflm_misfits "")
foreach(library IN LISTS te_tflm_libraries)
  te_judge_library("${library}")
  if(te_misfit)
    list(APPEND te_tflm_misfits "${library} ${te_misfit}")
  else()
    list(APPEND te_tflm_fitting "${library}")
    set(te_tflm_symbols "${te_symbols}")
  endif()
endforeach()
list(LENGTH te_tflm_fitting te_count)
if(te_count EQUAL 0)
  list(JOIN te_tflm_misfits "\n" te_tflm_misfits)
  message(FATAL_ERROR "${te_tflm_misfits}")
elseif(te_count GREATER 1)
  list(JOIN te_tflm_fitting " and " te_tflm_fitting)
  message(FATAL_ERROR "several libraries fit ${BOARD}: name one with TFLM_LIBRARY; ${te_tflm_fitting}")
endif()

# --- The target ---------------------------------------------------------------------------------------------------

# TF_LITE_STATIC_MEMORY and, in a library without strings, TF_LITE_STRIP_ERROR_STRINGS are part of the ABI.
set(te_tflm_definitions TF_LITE_STATIC_MEMORY TF_LITE_STRIP_ERROR_STRINGS NDEBUG)
set(te_tflm_kernels reference)
foreach(symbol IN LISTS te_tflm_symbols)
  if(symbol MATCHES "^_ZN6tflite[0-9]+Register_([A-Z0-9_]+)_INT8Ev$")
    list(APPEND te_tflm_definitions "TE_TFLM_INT8_${CMAKE_MATCH_1}")
    set(te_tflm_kernels cmsis_nn)
  endif()
endforeach()
if(te_tflm_kernels STREQUAL cmsis_nn) # Its headers declare those registrations only then.
  list(APPEND te_tflm_definitions CMSIS_NN)
endif()

add_library(TfliteMicro::TfliteMicro STATIC IMPORTED)
set_target_properties(
  TfliteMicro::TfliteMicro
  PROPERTIES IMPORTED_LOCATION "${te_tflm_fitting}"
             INTERFACE_INCLUDE_DIRECTORIES "${te_tflm_includes}"
             INTERFACE_COMPILE_DEFINITIONS "${te_tflm_definitions};TE_TFLM_KERNELS=\"${te_tflm_kernels}\""
             INTERFACE_COMPILE_OPTIONS
             "$<$<COMPILE_LANGUAGE:CXX>:-std=c++17;-fno-rtti;-fno-exceptions;-fno-threadsafe-statics>"
             INTERFACE_LINK_LIBRARIES m)
message(STATUS "TFLite Micro: ${te_tflm_fitting} (${te_tflm_kernels})")
