# The target check_headers compiles each header by itself, so that one may include any of them first.
# Not part of the default build: it is a compilation for each header.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
  ${PROJECT_SOURCE_DIR}/src/lambdaml/*.h ${PROJECT_SOURCE_DIR}/apps/*.h)
# Parts of the kernels, which kernels_impl.h includes once for each instruction set.
list(FILTER headers EXCLUDE REGEX "^src/lambdaml/tensor/(impl_|vec|kernels_impl)")
list(FILTER headers EXCLUDE REGEX "^src/lambdaml/torch/channel_kernels_impl")
if(NOT LAMBDAML_ONEDNN_FOUND)
  list(FILTER headers EXCLUDE REGEX "^src/lambdaml/torch/(fused_|convolution)")
endif()
if(NOT TARGET lambdaml_torch)
  list(FILTER headers EXCLUDE REGEX "^src/lambdaml/torch/")
endif()
if(NOT LAMBDAML_TESTS)
  list(FILTER headers EXCLUDE REGEX "/testing/")
endif()
set(header_sources "")
foreach(header IN LISTS headers)
  set(source ${PROJECT_BINARY_DIR}/generated/headers/${header}.cc)
  string(REGEX REPLACE "^src/" "" include ${header})
  file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${include}\"\n" @ONLY)
  list(APPEND header_sources ${source})
endforeach()
add_library(check_headers OBJECT EXCLUDE_FROM_ALL ${header_sources})
target_compile_options(check_headers PRIVATE -O0)
target_compile_definitions(check_headers PRIVATE LAMBDAML_FAAS_TEST_FUNCTION="")
set_target_properties(check_headers PROPERTIES UNITY_BUILD OFF DISABLE_PRECOMPILE_HEADERS ON)
target_link_libraries(check_headers PRIVATE lambdaml_cli lambdaml_worker lambdaml_tune lambdaml_ps_wire
  PkgConfig::HIREDIS CURL::libcurl OpenSSL::SSL Boost::headers pugixml nlohmann_json::nlohmann_json
  $<TARGET_NAME_IF_EXISTS:Lambdaml::torch> $<TARGET_NAME_IF_EXISTS:GTest::gmock>)
