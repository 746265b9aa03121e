#pragma once
// Errors are values. A function that can fail on a user's input returns Result<T>; nothing here throws.
// Same member names as std::expected (C++23), which may replace it one day.

#include <cassert>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace octet {

enum class ErrorCode {
  bad_model,      // the file or graph is not what it claims to be
  unsupported,    // valid, but octet has no way to run it
  bad_argument,   // a flag, a name or a value given by the user
  io,             // the operating system refused
  out_of_memory,  // an allocation failed or would be absurd
  device,         // a device or ISA that is not there
  internal,       // octet's own mistake
};

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;  // what, where, what was expected, what to do
};

/// The stable word of a code, as printed in front of messages: "bad_model".
std::string_view name(ErrorCode code);

/// The same error with the place in front of its message: within("a.onnx", e) -> "a.onnx: ...".
inline Error within(std::string_view place, Error error) {
  error.message = std::string(place) + ": " + error.message;
  return error;
}

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& operator*() & { return *get(); }
  const T& operator*() const& { return *get(); }
  T&& operator*() && { return std::move(*get()); }
  T* operator->() { return get(); }
  const T* operator->() const { return get(); }
  const Error& error() const {
    assert(!has_value() && "error() asked of a Result that holds a value");
    return *std::get_if<1>(&state_);
  }

 private:
  T* get() {
    assert(has_value() && "value asked of a Result that holds an error");
    return std::get_if<0>(&state_);
  }
  const T* get() const {
    assert(has_value() && "value asked of a Result that holds an error");
    return std::get_if<0>(&state_);
  }
  std::variant<T, Error> state_;
};

/// Result<Done> for functions with nothing to hand back.
struct Done {};

}  // namespace octet
