#pragma once
// Zip archives for reading: stored and deflated members, zip64, CRC checked. Enough for .npz and checkpoints.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace octet {

struct ZipMember {
  std::string name;
  std::shared_ptr<const void> keep_alive;  // the mapped file or the inflated bytes
  std::span<const std::byte> bytes;
};

/// Every member, in the order of the central directory. Hostile archives give an Error that names the member.
/// Source: PKWARE APPNOTE 6.3.9, sections 4.3 and 4.5.
Result<std::vector<ZipMember>> read_zip(const std::shared_ptr<const MappedFile>& file);
/// The same from memory that keep_alive owns (null: the caller keeps it while members are in use).
Result<std::vector<ZipMember>> read_zip(std::span<const std::byte> bytes,
                                        const std::shared_ptr<const void>& keep_alive);

}  // namespace octet
