#pragma once
// octet trtexec run as a script runs it, in a folder of this test run's own.

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "program/running.h"

namespace octet::cli::trtexec {

/// Removed at the end.
const std::string& scratch();
/// A file in it.
std::string at(const std::string& name);
nlohmann::json json_of(const std::string& path);
std::string floats(const std::vector<float>& values);
std::vector<float> floats_of(const std::string& bytes);

/// By test ("Suite.name"): flags that it has handed to trtexec so far, without dashes.
std::map<std::string, std::set<std::string>>& flags_passed();
/// Those of a line or script; of lines without the word trtexec none.
void note_flags(const std::string& line);

/// A line of bash, in the folder.
Ran shell(const std::string& line);

extern const std::string k_model;  // --onnx=FILE of the demo model
/// octet trtexec with these words.
Ran trtexec(const std::string& words);
/// A short run: three queries after no warm-up, static tactics.
Ran quick(const std::string& flags, const std::string& model = k_model);
/// INT8 from random numbers, built once.
const std::string& plan();

/// --onnx=FILE of a network that ends in a picture of 6 channels, 5 high and 4 wide, and starts in one: y = x + 0.25 x.
/// Beside it picture.bin, values of its input that half precision holds exactly.
const std::string& picture_model();

/// An entry of "Layers" in a detailed layer file whose Metadata names this layer of the ONNX file.
bool stands_for(const nlohmann::json& entry, const std::string& layer);

/// The number behind a text in a log; a failure where the text is not there.
double number_after(const std::string& log, const std::string& text);
/// Queries of the timing trace.
int64_t measured(const std::string& log);
double seconds_of(const std::function<void()>& work);

}  // namespace octet::cli::trtexec
