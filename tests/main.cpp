// The test program's main function: Catch2 version 2 compiles it here; version 3 brings its own in Catch2WithMain.
#if !__has_include(<catch2/catch_test_macros.hpp>)
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
