# What `cmake --install` puts where, in components, each of which is a Debian package too
# (LambdamlPackages.cmake):
#   programs     the command and what it starts; what only they read lies in lib/lambdaml
#   torch        the library around libtorch
#   development  the library, its headers, and what finds them: CMake's and pkg-config's files
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(LAMBDAML_PRIVATE_DIR lib/lambdaml)  # base/programs/own_file.h looks there

# The programs.
install(TARGETS lambdaml lambdaml-worker RUNTIME COMPONENT programs)
install(TARGETS lambdaml-bootstrap RUNTIME DESTINATION ${LAMBDAML_PRIVATE_DIR} COMPONENT programs)
install(DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/stand-ins DESTINATION ${LAMBDAML_PRIVATE_DIR} COMPONENT programs)
set_property(TARGET lambdaml lambdaml-worker APPEND PROPERTY INSTALL_RPATH "$ORIGIN/../${LAMBDAML_PRIVATE_DIR}")
if(TARGET lambdaml_torch)
  install(TARGETS lambdaml_torch LIBRARY DESTINATION ${LAMBDAML_PRIVATE_DIR} COMPONENT torch)
endif()

# One library of all layers: the static libraries of which the programs are linked need each other, and
# their names are no business of others.
get_property(parts GLOBAL PROPERTY lambdaml_parts)
list(REMOVE_ITEM parts lambdaml_cli)
list(TRANSFORM parts REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
add_library(lambdaml_library STATIC ${objects})
set_target_properties(lambdaml_library PROPERTIES OUTPUT_NAME lambdaml EXPORT_NAME lambdaml LINKER_LANGUAGE CXX)
target_compile_features(lambdaml_library INTERFACE cxx_std_20)
target_include_directories(lambdaml_library INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# What lambdamlConfig.cmake finds again, under the same names.
target_link_libraries(lambdaml_library INTERFACE Threads::Threads fmt::fmt nlohmann_json::nlohmann_json yaml-cpp pugixml
  ZLIB::ZLIB OpenSSL::SSL PkgConfig::XXHASH PkgConfig::HIREDIS PkgConfig::THRIFT boost_context ${CMAKE_DL_LIBS})
install(TARGETS lambdaml_library EXPORT lambdaml ARCHIVE COMPONENT development)

# The headers of the layers: not those of plug-ins and of what only the programs have inside.
file(GLOB_RECURSE public_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/src/lambdaml/*.h)
list(FILTER public_headers EXCLUDE REGEX
  "/testing/|^lambdaml/(torch|ps|dashboard)/|^lambdaml/sim/guarded_stack|^lambdaml/(storage|faas|comm|model|optim|tune)/[^/]+/|^lambdaml/tensor/(impl_|vec|kernels_impl)")
list(FILTER public_headers EXCLUDE REGEX
  "^lambdaml/data/(csv|libsvm|npy|mtx|shard|safetensors|idx|images|cifar10|cifar100)/|^lambdaml/aws/curl_library\\.h")
foreach(header IN LISTS public_headers)
  cmake_path(GET header PARENT_PATH folder)
  install(FILES ${PROJECT_SOURCE_DIR}/src/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${folder} COMPONENT development)
endforeach()
install(FILES ${PROJECT_BINARY_DIR}/generated/lambdaml/base/sonames.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lambdaml/base COMPONENT development)

# find_package(lambdaml), and pkg-config.
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lambdaml)
install(EXPORT lambdaml NAMESPACE lambdaml:: FILE lambdamlTargets.cmake DESTINATION ${config_dir} COMPONENT development)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/lambdamlConfig.cmake.in ${PROJECT_BINARY_DIR}/lambdamlConfig.cmake
  INSTALL_DESTINATION ${config_dir})
# Until 1.0 a minor version may change what programs are compiled against.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lambdamlConfigVersion.cmake COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)  # from the file to the prefix, which may move
configure_file(${PROJECT_SOURCE_DIR}/cmake/lambdaml.pc.in ${PROJECT_BINARY_DIR}/lambdaml.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/lambdamlConfig.cmake ${PROJECT_BINARY_DIR}/lambdamlConfigVersion.cmake
  DESTINATION ${config_dir} COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/lambdaml.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

# Man pages and completions, which the command itself writes.
string(TIMESTAMP date "%Y-%m-%d" UTC)  # SOURCE_DATE_EPOCH, if it is set
set(pages ${PROJECT_BINARY_DIR}/share)
add_custom_command(OUTPUT ${pages}/stamp
  COMMAND ${CMAKE_COMMAND} -E make_directory ${pages}/man ${pages}/completions
  COMMAND lambdaml man --to ${pages}/man --date ${date}
  COMMAND lambdaml completion bash > ${pages}/completions/bash
  COMMAND lambdaml completion zsh > ${pages}/completions/zsh
  COMMAND lambdaml completion fish > ${pages}/completions/fish
  COMMAND ${CMAKE_COMMAND} -E touch ${pages}/stamp
  DEPENDS lambdaml COMMENT "Writing man pages and completions" VERBATIM)
set(all ALL)
if(LAMBDAML_SANITIZE)
  set(all "")  # nothing of it is installed
endif()
add_custom_target(lambdaml_pages ${all} DEPENDS ${pages}/stamp)
configure_file(${PROJECT_SOURCE_DIR}/apps/worker/lambdaml-worker.1.in ${pages}/man/lambdaml-worker.1 @ONLY)
install(DIRECTORY ${pages}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT programs)
install(FILES ${pages}/completions/bash RENAME lambdaml
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT programs)
install(FILES ${pages}/completions/zsh RENAME _lambdaml
  DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT programs)
install(FILES ${pages}/completions/fish RENAME lambdaml.fish
  DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT programs)

# The documentation, with the examples that it shows: as in the source tree, so that its links lead there too.
set(doc_dir ${CMAKE_INSTALL_DATADIR}/doc)
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CONTRIBUTING.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
  ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${doc_dir}/lambdaml COMPONENT programs)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs ${PROJECT_SOURCE_DIR}/examples ${PROJECT_SOURCE_DIR}/deploy
  DESTINATION ${doc_dir}/lambdaml COMPONENT programs
  PATTERN "session.sh" EXCLUDE PATTERN "__pycache__" EXCLUDE PATTERN "build" EXCLUDE PATTERN ".*" EXCLUDE)
# The licences of what is compiled into the programs: libraries of headers alone, and the charts of reports.
foreach(package IN ITEMS libboost-dev libcli11-dev libfast-float-dev libjs-chart.js nlohmann-json3-dev)
  if(EXISTS /usr/share/doc/${package}/copyright)
    file(REAL_PATH /usr/share/doc/${package}/copyright text)
    install(FILES ${text} RENAME ${package} DESTINATION ${doc_dir}/lambdaml/licences COMPONENT programs)
  endif()
endforeach()

# What distributions expect of each package: the licence and two changelogs.
find_program(GZIP gzip REQUIRED)
set(changes ${PROJECT_BINARY_DIR}/share/changes)
string(TIMESTAMP moment "%a, %d %b %Y %H:%M:%S +0000" UTC)
set(unzipped ${PROJECT_SOURCE_DIR}/CHANGELOG.md)
set(zipped COMMAND ${GZIP} -9n < ${PROJECT_SOURCE_DIR}/CHANGELOG.md > ${changes}/changelog.gz)
foreach(component IN ITEMS programs=lambdaml torch=lambdaml-torch development=liblambdaml-dev)
  string(REPLACE "=" ";" component ${component})
  list(GET component 0 name)
  list(GET component 1 package)
  file(CONFIGURE OUTPUT ${changes}/${package} CONTENT "${package} (${PROJECT_VERSION}-1) unstable; urgency=medium

  * Packaged by CPack from the sources of this version; changelog.gz says what
    has changed in them.

 -- The LambdaML developers <lambdaml@localhost>  ${moment}
")
  list(APPEND unzipped ${changes}/${package})
  list(APPEND zipped COMMAND ${GZIP} -9n < ${changes}/${package} > ${changes}/${package}.gz)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE RENAME copyright DESTINATION ${doc_dir}/${package} COMPONENT ${name})
  install(FILES ${changes}/changelog.gz DESTINATION ${doc_dir}/${package} COMPONENT ${name})
  install(FILES ${changes}/${package}.gz RENAME changelog.Debian.gz DESTINATION ${doc_dir}/${package} COMPONENT ${name})
endforeach()
add_custom_command(OUTPUT ${changes}/stamp ${zipped} COMMAND ${CMAKE_COMMAND} -E touch ${changes}/stamp
  DEPENDS ${unzipped} COMMENT "Compressing changelogs" VERBATIM)
add_custom_target(lambdaml_changes ${all} DEPENDS ${changes}/stamp)
add_dependencies(lambdaml_pages lambdaml_changes)
