#pragma once

namespace octet {

/// AVX512-VBMI: lookups of bytes among 128 in one instruction (vpermi2b). CPUs with AVX512-VNNI have it, but for
/// Cascade Lake and Cooper Lake.
bool has_byte_lookups();

}  // namespace octet
