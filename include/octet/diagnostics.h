#pragma once
// The stable codes of messages (docs/errors.md).
#include "base/diagnostics.h"
