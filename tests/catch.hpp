// Catch2 version 2 (Debian 12) and version 3 put their headers, Approx and the substring matcher in different places.
// Tests include this header and then write the same words on both: Approx, Catch::Approx, says("part of a message").
#pragma once

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_approx.hpp>
#include <catch2/catch_message.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
namespace Catch {
using Detail::Approx;
}
#endif

#include <exception>
#include <string>

// For CHECK_THROWS_MATCHES(expression, type, says("labels.idx") && says("truncated")): the exception's message contains
// `part`. Messages are matched and not only types, so that an error raised for another reason does not pass.
inline auto says(const std::string& part) {
  return Catch::Matchers::Predicate<std::exception>(
      [part](const std::exception& e) { return std::string{e.what()}.find(part) != std::string::npos; },
      "says \"" + part + "\"");
}
