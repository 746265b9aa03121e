#pragma once
// Between the caller's dense buffers and the back end's layout, where no step does it on the way.

#include "backends/cpu/step.h"

namespace octet::cpu {

/// Graph input `index` into the back end's layout at `to`.
PreparedStep bring_in(size_t index, const Operand& to, Isa isa);
/// A value in the back end's layout into the caller's buffer for graph output `index`.
PreparedStep take_out(const Operand& from, size_t index, Isa isa);
/// Bytes as they are from one place to another.
PreparedStep copy_bytes(const Place& from, const Place& to, size_t bytes);

}  // namespace octet::cpu
