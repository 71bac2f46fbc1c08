# Debian packages of what LambdamlInstall.cmake installs, one for each component:
#   cpack --config build/release/CPackConfig.cmake -B build/release/packages
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME lambdaml)
set(CPACK_PACKAGE_VENDOR "LambdaML")
set(CPACK_PACKAGE_CONTACT "The LambdaML developers <lambdaml@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_COMPONENTS_ALL programs development)
if(TARGET lambdaml_torch)
  list(APPEND CPACK_COMPONENTS_ALL torch)
endif()
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)

set(CPACK_DEBIAN_PROGRAMS_PACKAGE_NAME lambdaml)
set(CPACK_COMPONENT_PROGRAMS_DESCRIPTION "machine-learning training on serverless functions
 LambdaML partitions data, starts functions on AWS Lambda or processes on this machine, and trains a
 model with them; they meet in S3, DynamoDB, Redis, Memcached, a parameter server or shared memory.
 This package has the command, its worker, the documentation, man pages and completions.")
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SHLIBDEPS ON)

set(CPACK_DEBIAN_TORCH_PACKAGE_NAME lambdaml-torch)
set(CPACK_COMPONENT_TORCH_DESCRIPTION "deep models for LambdaML
 The library with which lambdaml trains MobileNet, ResNets and PyTorch modules.")
set(CPACK_DEBIAN_TORCH_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_TORCH_PACKAGE_DEPENDS "lambdaml (= ${PROJECT_VERSION}-1)")
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SUGGESTS lambdaml-torch)

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME liblambdaml-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "C++ library of LambdaML
 Headers, a static library, and what CMake and pkg-config need to find them.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "lambdaml (= ${PROJECT_VERSION}-1), libboost-context-dev, libfmt-dev, libhiredis-dev, \
libpugixml-dev, libssl-dev, libthrift-dev, libxxhash-dev, libyaml-cpp-dev, nlohmann-json3-dev, pkg-config, zlib1g-dev")

# Libraries that are loaded when they are first used are in no list of the linker, so their packages
# are named here: those of the files that the build found.
find_program(DPKG_QUERY dpkg-query)
get_property(libraries GLOBAL PROPERTY lambdaml_loaded_libraries)
set(packages "")
if(DPKG_QUERY)
  foreach(library IN LISTS libraries)
    file(REAL_PATH ${library} real)
    cmake_path(GET real FILENAME name)
    execute_process(COMMAND ${DPKG_QUERY} -S "*/${name}" OUTPUT_VARIABLE owner ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(owner MATCHES "^([a-z0-9.+-]+)(:[a-z0-9]+)?: ")
      list(APPEND packages ${CMAKE_MATCH_1})
    endif()
  endforeach()
endif()
list(REMOVE_DUPLICATES packages)
list(JOIN packages ", " CPACK_DEBIAN_PROGRAMS_PACKAGE_DEPENDS)
include(CPack)
