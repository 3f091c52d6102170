// Names in generated code.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "spikenet/core/compiler.hpp"

namespace spikenet::detail {

// Returns whether generated code may give a namespace at global scope this name: an identifier in ASCII that is no
// keyword of C++20, no spelling of an operator, not reserved for the compiler or the standard library, no macro of
// GNU's dialects, and not this library's own.
inline bool is_namespace_name(std::string_view name) {
  constexpr std::string_view taken =
      " alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t "
      "class co_await co_return co_yield compl concept const const_cast consteval constexpr constinit continue "
      "decltype default delete do double dynamic_cast else enum explicit export extern false float for friend "
      "goto if inline int linux long main mutable namespace new noexcept not not_eq nullptr operator or or_eq "
      "posix private protected public register reinterpret_cast requires return short signed sizeof spikenet "
      "static static_assert static_cast struct switch template this thread_local throw true try typedef typeid "
      "typename typeof union unix unsigned using virtual void volatile wchar_t while xor xor_eq ";
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !name.empty() && is_letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || is_digit(c) || c == '_'; }) &&
         name.find("__") == std::string_view::npos &&
         !(name.starts_with("std") && std::all_of(name.begin() + 3, name.end(), is_digit)) &&
         taken.find(" " + std::string(name) + " ") == std::string_view::npos;
}

// What a message says of a name that is none.
inline constexpr const char* namespace_name_rule =
    "letters, digits and single underscores, a letter first, neither a keyword nor reserved";

}  // namespace spikenet::detail
