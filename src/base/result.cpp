#include "base/result.h"

namespace octet {

std::string_view name(ErrorCode code) {
  switch (code) {
    case ErrorCode::bad_model: return "bad_model";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::bad_argument: return "bad_argument";
    case ErrorCode::io: return "io";
    case ErrorCode::out_of_memory: return "out_of_memory";
    case ErrorCode::device: return "device";
    case ErrorCode::internal: return "internal";
  }
  return "internal";
}

}  // namespace octet
