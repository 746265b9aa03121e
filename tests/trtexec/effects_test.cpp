// Every flag that takes effect has a test of that effect: effects.def names it, and what the tests hand to the program
// is noted while they run (running.h), so that a row that names a test without the flag fails.

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/trtexec/flags.h"
#include "running.h"

namespace octet::cli::trtexec {
namespace {

struct Effect {
  std::string_view flag, test;  // "Suite.name"
};
constexpr Effect k_effects[] = {
#define OCTET_EFFECT(flag, suite, name) {#flag, #suite "." #name},
#include "effects.def"
#undef OCTET_EFFECT
};

const testing::TestInfo* find_test(std::string_view full_name) {
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int s = 0; s < all.total_test_suite_count(); ++s)
    for (int t = 0; t < all.GetTestSuite(s)->total_test_count(); ++t) {
      const testing::TestInfo* test = all.GetTestSuite(s)->GetTestInfo(t);
      if (full_name == std::string(test->test_suite_name()) + "." + test->name()) return test;
    }
  return nullptr;
}

bool takes_effect(const Flag& flag) {
  const auto does = [](Verdict verdict) { return verdict == Verdict::honoured || verdict == Verdict::mapped; };
  return does(flag.cpu) || does(flag.gpu);
}

TEST(Effects, every_flag_that_takes_effect_has_a_row_that_names_a_test) {
  for (const Flag& flag : all_flags()) {
    const auto row = std::find_if(std::begin(k_effects), std::end(k_effects),
                                  [&](const Effect& effect) { return effect.flag == flag.name; });
    EXPECT_EQ(row != std::end(k_effects), takes_effect(flag)) << flag.name;
  }
  for (const Effect& effect : k_effects) {
    EXPECT_NE(find_flag(effect.flag), nullptr) << effect.flag;
    EXPECT_NE(find_test(effect.test), nullptr) << effect.flag << ": there is no test " << effect.test;
  }
}

/// A row on a CPU where the flag takes effect there, and one on a GPU where it takes another, or only there.
TEST(Effects, each_device_on_which_a_flag_takes_effect_has_its_own_test) {
  const auto takes = [](Verdict verdict) { return verdict == Verdict::honoured || verdict == Verdict::mapped; };
  for (const Flag& flag : all_flags()) {
    const auto has_row = [&](bool on_gpu) {
      return std::any_of(std::begin(k_effects), std::end(k_effects), [&](const Effect& effect) {
        return effect.flag == flag.name && effect.test.starts_with("CudaFlags.") == on_gpu;
      });
    };
    if (takes(flag.cpu)) {
      EXPECT_TRUE(has_row(false)) << flag.name << " on a CPU";
    }
    if (takes(flag.gpu) && flag.cpu != flag.gpu) {
      EXPECT_TRUE(has_row(true)) << flag.name << " on a GPU";
    }
  }
}

/// After all tests: those that ran were given the flags that the table says they test.
class FlagsWerePassed : public testing::Environment {
 public:
  void TearDown() override {
    for (const Effect& effect : k_effects) {
      const testing::TestInfo* test = find_test(effect.test);
      if (!test || !test->should_run() || test->result()->Skipped()) continue;
      EXPECT_TRUE(flags_passed()[std::string(effect.test)].contains(std::string(effect.flag)))
          << effect.test << " is to test --" << effect.flag << ", but runs trtexec without it";
    }
  }
};
const testing::Environment* const k_flags_were_passed = testing::AddGlobalTestEnvironment(new FlagsWerePassed);

}  // namespace
}  // namespace octet::cli::trtexec
