#pragma once
// What a training run shows: a line per epoch, and on a terminal a live one between them.

#include "octet/train/trainer.h"

namespace octet::train_cli {

void show_progress(nn::TrainOptions& options, bool quiet);
/// Pictures that go in as they are: said as `octet eval` says it. Empty = nothing to say.
std::string pixels_note(const Dataset& data, const std::string& preprocess);
/// One JSON object: options' effect by epoch, the best one, counts.
std::string report_json(const nn::TrainReport& report, const std::string& model, const std::string& output);

}  // namespace octet::train_cli
