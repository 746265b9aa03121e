#pragma once
// JSON as the commands print it.

#include <nlohmann/json.hpp>
#include <string>

namespace octet {

/// Indented by two. Names of files, nodes and classes are bytes of the user's; what is no UTF-8 in them is replaced by
/// U+FFFD, so that the text is always valid JSON.
inline std::string json_text(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace octet
