#pragma once
// Result<T>, Error, ErrorCode, Done: every octet function that can fail on a user's input returns a Result.
#include "base/result.h"
