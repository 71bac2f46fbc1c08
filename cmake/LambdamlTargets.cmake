# How the house is built: a layer is a folder under src/lambdaml, a plug-in is a folder inside a
# layer and one line in that layer's CMakeLists.txt.
include(GoogleTest OPTIONAL)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
# What is loaded by name lies beside the executables.
set(CMAKE_BUILD_RPATH "$ORIGIN;$ORIGIN/../bin")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

# What every target of ours is compiled with.
add_library(lambdaml_flags INTERFACE)
target_include_directories(lambdaml_flags INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_BINARY_DIR}/generated)
target_compile_options(lambdaml_flags INTERFACE -Wall -Wextra -Wpedantic -Wnon-virtual-dtor)
target_link_libraries(lambdaml_flags INTERFACE Threads::Threads fmt::fmt)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A compiler that collects its garbage all the time takes a tenth longer. It may grow to a gigabyte first.
  target_compile_options(lambdaml_flags INTERFACE --param=ggc-min-heapsize=1000000)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  # As on x86-64: bytes of text have signs, and no compiler chooses which products are added with one rounding. GCC would
  # also tell of each vector of pairs that its ABI was another before version 10.
  target_compile_options(lambdaml_flags INTERFACE -fsigned-char -ffp-contract=off -Wno-psabi)
endif()
if(LAMBDAML_WERROR)
  target_compile_options(lambdaml_flags INTERFACE -Werror)
endif()
if(LAMBDAML_SANITIZE)
  target_compile_options(lambdaml_flags INTERFACE -fsanitize=${LAMBDAML_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  # A sanitizer's dlopen() looks for libraries where the executable's RPATH says, not its RUNPATH.
  target_link_options(lambdaml_flags INTERFACE -fsanitize=${LAMBDAML_SANITIZE} -Wl,--disable-new-dtags)
endif()
if(LAMBDAML_STATIC_RUNTIME)
  target_link_options(lambdaml_flags INTERFACE -static-libstdc++ -static-libgcc)
endif()
if(LAMBDAML_FUZZ)
  target_compile_options(lambdaml_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# The headers that most files read, read once for all libraries.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/headers.cc CONTENT "" @ONLY)
add_library(lambdaml_headers STATIC ${PROJECT_BINARY_DIR}/generated/headers.cc)
target_link_libraries(lambdaml_headers PUBLIC lambdaml_flags)
target_precompile_headers(lambdaml_headers PRIVATE <algorithm> <array> <atomic> <chrono> <cmath> <cstdint> <filesystem>
  <functional> <map> <memory> <mutex> <optional> <random> <span> <string> <string_view> <thread> <vector>
  <fmt/format.h> <nlohmann/json.hpp>)

# lambdaml_add_layer(NAME [COLD] [FOLDERS folder...] [LINK target...])
#   The library lambdaml_NAME of the *.cc files that lie directly in this folder, and in those below
#   it that FOLDERS names: subjects of the layer that are no plug-ins.
#   COLD: no loop over rows or values is here or in the layer's plug-ins, so they are compiled fast
#   rather than well.
function(lambdaml_add_layer name)
  cmake_parse_arguments(arg "COLD" "" "LINK;FOLDERS" ${ARGN})
  set(patterns ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  foreach(folder IN LISTS arg_FOLDERS)
    list(APPEND patterns ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cc)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  list(FILTER sources EXCLUDE REGEX "(_test|/main|_main)\\.cc$")
  set_property(GLOBAL PROPERTY lambdaml_cold_${name} ${arg_COLD})
  lambdaml_add_part(${name} lambdaml_${name} ${sources})
  target_link_libraries(lambdaml_${name} PUBLIC lambdaml_flags ${arg_LINK})
endfunction()

# GCC compiles a third faster with -Og than with -O1, but then warns of values that are set on all paths.
set(LAMBDAML_COLD_OPTIONS -Og)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND LAMBDAML_COLD_OPTIONS -Wno-maybe-uninitialized)
endif()

# A library of a layer.
function(lambdaml_add_part layer target)
  add_library(${target} STATIC ${ARGN})
  set_property(GLOBAL APPEND PROPERTY lambdaml_parts ${target})  # of the library that is installed
  target_precompile_headers(${target} REUSE_FROM lambdaml_headers)
  get_property(cold GLOBAL PROPERTY lambdaml_cold_${layer})
  if(cold)
    target_compile_options(${target} PRIVATE "$<$<NOT:$<CONFIG:Debug>>:${LAMBDAML_COLD_OPTIONS}>")
  endif()
endfunction()

# lambdaml_add_plugin(LAYER NAME [LINK target...])
#   One folder, one line: what is in NAME/*.cc, switched by the option LAMBDAML_LAYER_NAME, whose
#   lambdaml::LAYER::NAME::register_plugin() enters the layer's registry. With LINK it is the library
#   lambdaml_LAYER_NAME; without, it is compiled together with the others of its layer.
function(lambdaml_add_plugin layer name)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  string(TOUPPER LAMBDAML_${layer}_${name} switch)
  option(${switch} "Build the plug-in ${layer}/${name}" ON)
  if(NOT ${switch})
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  set_property(GLOBAL APPEND PROPERTY lambdaml_plugins_${layer} ${name})
  if(NOT arg_LINK)
    set_property(GLOBAL APPEND PROPERTY lambdaml_plugin_sources_${layer} ${sources})
    return()
  endif()
  set(target lambdaml_${layer}_${name})
  lambdaml_add_part(${layer} ${target} ${sources})
  target_link_libraries(${target} PUBLIC lambdaml_${layer} PRIVATE ${arg_LINK})
  set_property(GLOBAL APPEND PROPERTY lambdaml_plugin_libraries_${layer} ${target})
endfunction()

# lambdaml_write_plugin_table(LAYER)
#   After the plug-in lines: generates lambdaml::LAYER::register_plugins(), which calls each plug-in,
#   and links it. A plain table of calls: static initializers would be dropped by the linker.
function(lambdaml_write_plugin_table layer)
  get_property(plugins GLOBAL PROPERTY lambdaml_plugins_${layer})
  get_property(sources GLOBAL PROPERTY lambdaml_plugin_sources_${layer})
  get_property(libraries GLOBAL PROPERTY lambdaml_plugin_libraries_${layer})
  set(declarations "")
  set(calls "")
  foreach(name IN LISTS plugins)
    string(APPEND declarations "namespace ${name} {\nvoid register_plugin(Registry&);\n}\n")
    string(APPEND calls "  ${name}::register_plugin(registry);\n")
  endforeach()
  set(table ${CMAKE_CURRENT_BINARY_DIR}/${layer}_plugins.cc)
  file(CONFIGURE OUTPUT ${table} CONTENT
"// Generated from the lambdaml_add_plugin() lines of src/lambdaml/${layer}/CMakeLists.txt.
#include \"lambdaml/${layer}/registry.h\"
namespace lambdaml::${layer} {
${declarations}void register_plugins(Registry& registry) {
  (void)registry;
${calls}}
}  // namespace lambdaml::${layer}
" @ONLY)
  lambdaml_add_part(${layer} lambdaml_${layer}_plugins ${table} ${sources})
  target_link_libraries(lambdaml_${layer}_plugins PUBLIC lambdaml_${layer} ${libraries})
  # The layer's registry() calls the table: the two static libraries need each other.
  target_link_libraries(lambdaml_${layer} PUBLIC lambdaml_${layer}_plugins)
endfunction()

# lambdaml_add_test_plugin(LAYER NAME)
#   A plug-in of the tests, in NAME/ of the caller's folder: no program that is shipped knows it.
function(lambdaml_add_test_plugin layer name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  set(addition ${CMAKE_CURRENT_BINARY_DIR}/${name}_added.cc)
  file(CONFIGURE OUTPUT ${addition} CONTENT
"// Generated from the lambdaml_add_test_plugin() line.
#include \"lambdaml/${layer}/registry.h\"
namespace lambdaml::${layer}::${name} {
void register_plugin(Registry&);
static const AddedPlugin<Registry> added(register_plugin);
}  // namespace lambdaml::${layer}::${name}
" @ONLY)
  set_property(GLOBAL APPEND PROPERTY lambdaml_test_plugin_sources ${sources} ${addition})
  set_property(GLOBAL APPEND PROPERTY lambdaml_test_plugins ${name})
endfunction()

# Test code runs once: to optimize it, and to read the same headers in each file, would take most of all
# compile time.
function(lambdaml_compile_as_test target)
  if(NOT TARGET lambdaml_test_headers)
    # An executable, for precompiled headers are only good for what is compiled alike.
    add_executable(lambdaml_test_headers EXCLUDE_FROM_ALL ${PROJECT_BINARY_DIR}/generated/headers.cc)
    target_link_libraries(lambdaml_test_headers PRIVATE lambdaml_flags GTest::gmock GTest::gtest_main)
    target_compile_options(lambdaml_test_headers PRIVATE $<$<CONFIG:Release>:-O0>)
    target_precompile_headers(lambdaml_test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h> <nlohmann/json.hpp> <filesystem> <map>)
    set_target_properties(lambdaml_test_headers PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  endif()
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O0>)
  target_precompile_headers(${target} REUSE_FROM lambdaml_test_headers)
endfunction()

# lambdaml_add_layer_tests(LAYER [SHARED_SUITE] [LINK target...])
#   One test executable of all *_test.cc in this folder and its plug-in folders.
#   SHARED_SUITE: conformance_test.cc is compiled once, as the object library lambdaml_LAYER_suite, which
#   the tests of plug-ins outside the layer also take.
function(lambdaml_add_layer_tests layer)
  if(NOT LAMBDAML_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "SHARED_SUITE" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  if(arg_SHARED_SUITE)
    set(suite ${CMAKE_CURRENT_SOURCE_DIR}/conformance_test.cc)
    list(REMOVE_ITEM sources ${suite})
    list(APPEND sources $<TARGET_OBJECTS:lambdaml_${layer}_suite>)
    add_library(lambdaml_${layer}_suite OBJECT ${suite})
    lambdaml_compile_as_test(lambdaml_${layer}_suite)
    target_link_libraries(lambdaml_${layer}_suite PRIVATE lambdaml_flags lambdaml_${layer} GTest::gmock)
    # As an executable is compiled, whose precompiled headers it reads.
    set_target_properties(lambdaml_${layer}_suite PROPERTIES POSITION_INDEPENDENT_CODE OFF UNITY_BUILD OFF)
    target_compile_options(lambdaml_${layer}_suite PRIVATE -fPIE)
  endif()
  lambdaml_add_test_executable(lambdaml_${layer}_test SOURCES ${sources} LINK lambdaml_${layer} ${arg_LINK})
endfunction()

# What a test may take, as a multiple: sanitizers are that much slower.
set(LAMBDAML_TEST_PATIENCE 1)
if(LAMBDAML_SANITIZE)
  set(LAMBDAML_TEST_PATIENCE 4)
endif()

# lambdaml_add_test_executable(NAME [BY_HAND] SOURCES file... [LINK target...] [PROCESSORS n])
#   BY_HAND: its tests are not registered with ctest one by one; the caller does that.
#   PROCESSORS: of the -j of ctest, what each of its tests takes, where that is more than one: jobs compute
#   with several workers, while most tests with servers wait.
function(lambdaml_add_test_executable name)
  cmake_parse_arguments(arg "BY_HAND" "ENVIRONMENT;PROCESSORS" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE lambdaml_flags ${arg_LINK} GTest::gmock GTest::gtest_main)
  lambdaml_compile_as_test(${name})
  set_target_properties(${name} PROPERTIES UNITY_BUILD_BATCH_SIZE 8 RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  if(NOT arg_BY_HAND)
    math(EXPR timeout "300 * ${LAMBDAML_TEST_PATIENCE}")
    set(properties TIMEOUT ${timeout})
    if(arg_ENVIRONMENT)
      list(APPEND properties ENVIRONMENT ${arg_ENVIRONMENT})
    endif()
    if(arg_PROCESSORS)  # They take long, too, so they do not begin last.
      math(EXPR cost "100 * ${arg_PROCESSORS}")
      list(APPEND properties PROCESSORS ${arg_PROCESSORS} COST ${cost})
    endif()
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
  endif()
endfunction()

# Includes point down only; a line that points up or into a plug-in fails the build.
add_custom_target(check_layers ALL
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR}/src/lambdaml -P ${PROJECT_SOURCE_DIR}/cmake/check_layers.cmake
  COMMENT "Checking includes, output, time and the length of documentation lines" VERBATIM)
