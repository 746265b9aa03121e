#pragma once
// What a training run shows: a line per epoch, and on a terminal a live one between them.

#include "octet/train/trainer.h"

namespace octet::train_cli {

void show_progress(nn::TrainOptions& options, bool quiet);
/// Pictures that go in as they are: said as `octet eval` says it. Empty = nothing to say.
std::string pixels_note(const Dataset& data, const std::string& preprocess);
/// "m.onnx: epoch 3 of 5 is the best, held-out accuracy 97.20 %; wrote out.onnx".
std::string result_line(const nn::TrainReport& report, const nn::TrainOptions& options, const std::string& model,
                        const std::string& output);
void say_nothing_held_out(const nn::TrainReport& report, bool quiet);
/// One JSON object: options' effect by epoch, the best one, counts.
std::string report_json(const nn::TrainReport& report, const std::string& model, const std::string& output);

}  // namespace octet::train_cli
