# The CUDA backend without a GPU and without a toolkit: its kernels and its host code by the C++ compiler, on the stand-in for
# the CUDA runtime. The compiler spends more time on them than they run, whatever the build type: so -O0, but for the stand-in.
# A function, so that the name of a test says what it runs on.
set(cuda_stand_in ${CMAKE_CURRENT_LIST_DIR}/stand_in)
add_library(cuda_stand_in OBJECT ${cuda_stand_in}/host_cuda.cpp)
target_include_directories(cuda_stand_in PUBLIC ${cuda_stand_in})
target_compile_features(cuda_stand_in PUBLIC cxx_std_20)
target_compile_options(cuda_stand_in PRIVATE -O1)
target_link_libraries(cuda_stand_in PRIVATE spikenet_project_options)

file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
list(FILTER sources EXCLUDE REGEX "/(golden_check|races)\\.cpp$")
add_executable(cuda_tests ${sources})
target_compile_options(cuda_tests PRIVATE -O0)
target_link_libraries(cuda_tests PRIVATE cuda_stand_in spikenet_test_options ${catch})
catch_discover_tests(cuda_tests TEST_PREFIX "cuda/" EXTRA_ARGS ${catch_arguments} PROPERTIES LABELS cuda TIMEOUT 600)

# Golden values, of the variants (see golden/golden_check.hpp) that the bundled files have.
set(golden_variants_4x2 "variant<hard_reset,through_reset,mean_spikes>,variant<hard_reset,detached_reset,mean_spikes>")
set(golden_variants_4x4 "variant<soft_reset,through_reset,mean_current>")
set(golden_variants_8x2s4 "variant<hard_reset,through_reset,mean_spikes>")
foreach(case IN ITEMS 4x2 4x4 8x2s4)
  if(TARGET golden_check_${case})
    add_executable(cuda_golden_check_${case} ${CMAKE_CURRENT_LIST_DIR}/golden_check.cpp)
    get_target_property(shape golden_check_${case} COMPILE_DEFINITIONS)
    target_compile_definitions(cuda_golden_check_${case}
                               PRIVATE ${shape} "SPIKENET_GOLDEN_VARIANTS=${golden_variants_${case}}")
    target_compile_options(cuda_golden_check_${case} PRIVATE -O0)
    target_link_libraries(cuda_golden_check_${case} PRIVATE cuda_stand_in spikenet_test_options)
    add_test(NAME "cuda/golden ${case}" COMMAND cuda_golden_check_${case} ${golden_files_${case}})
    set_tests_properties("cuda/golden ${case}" PROPERTIES LABELS "cuda" TIMEOUT 600)
  endif()
endforeach()

# Races in the kernels, by the thread sanitizer; not beside another sanitizer.
set(CMAKE_REQUIRED_FLAGS -fsanitize=thread)
check_cxx_source_compiles(
  "extern \"C\" void* __tsan_create_fiber(unsigned);
   int main() { return __tsan_create_fiber(0) == nullptr; }" SPIKENET_THREAD_SANITIZER)
unset(CMAKE_REQUIRED_FLAGS)
if(SPIKENET_THREAD_SANITIZER AND SPIKENET_MALLOC_REPLACEABLE)
  add_library(cuda_stand_in_races OBJECT ${cuda_stand_in}/host_cuda.cpp)
  target_compile_features(cuda_stand_in_races PRIVATE cxx_std_20)
  target_compile_definitions(cuda_stand_in_races PRIVATE HOST_CUDA_RACES)
  add_executable(cuda_races ${CMAKE_CURRENT_LIST_DIR}/races.cpp $<TARGET_OBJECTS:cuda_stand_in_races>)
  target_include_directories(cuda_races PRIVATE ${cuda_stand_in})
  target_compile_options(cuda_races PRIVATE -O1 -fsanitize=thread)
  target_link_options(cuda_races PRIVATE -fsanitize=thread)
  target_link_libraries(cuda_races PRIVATE spikenet_test_options)
  foreach(what IN ITEMS kernels shared global warp)
    add_test(NAME "cuda/races ${what}" COMMAND cuda_races ${what})
    set_tests_properties("cuda/races ${what}" PROPERTIES LABELS cuda TIMEOUT 300)
    if(NOT what STREQUAL kernels)
      set_tests_properties("cuda/races ${what}" PROPERTIES PASS_REGULAR_EXPRESSION "ThreadSanitizer: data race")
    endif()
  endforeach()
endif()
