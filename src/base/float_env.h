#pragma once
// The floating-point environment of octet's arithmetic: round to nearest even, subnormals kept. A host may have changed
// it for its own thread (flush to zero, other rounding), which would change octet's answers.

#include <cfenv>

namespace octet {

/// Sets the default environment for the current scope and puts the old one back.
class DefaultFloatEnv {
 public:
  DefaultFloatEnv() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatEnv() { std::fesetenv(&saved_); }
  DefaultFloatEnv(const DefaultFloatEnv&) = delete;
  DefaultFloatEnv& operator=(const DefaultFloatEnv&) = delete;

 private:
  std::fenv_t saved_;
};

}  // namespace octet
