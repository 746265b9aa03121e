// A libtorch without CUDA.
#include "train/step_graph.h"

namespace octet::nn {

struct OwnStream::Guard {};
OwnStream::OwnStream(const torch::Device&) {}
OwnStream::~OwnStream() = default;

bool can_record_steps() { return false; }
struct StepGraph::Recording {};
StepGraph::StepGraph(bool record) : record_(record) {}
StepGraph::~StepGraph() = default;
bool StepGraph::recorded() const { return false; }
void StepGraph::run(const std::function<void()>& body) { body(); }

}  // namespace octet::nn
