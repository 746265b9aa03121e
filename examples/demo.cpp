// The whole story on one network: read, calibrate with every method, quantize, export, run in INT8, fine-tune at low
// bits, measure, prove; a table at the end and all of it in report.html. `make demo` runs it.
// usage: octet_demo [OUTPUT_FOLDER]
//
// With OCTET_DATA set it takes a ResNet-18 trained on CIFAR-10 and the CIFAR-10 test images; without, the small network
// beside this file and pictures that octet draws itself. The part that trains needs octet-train (docs/training.md).

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "octet/baseline.h"
#include "octet/compare.h"
#include "octet/engine_file.h"
#include "octet/files.h"
#include "octet/model.h"
#include "octet/session.h"
#include "report/story_page.h"
#include "report/text_table.h"

namespace {

using namespace octet;

struct Setting {
  std::string model, title, test_data, calibration_data, train_data, preprocess;
  int64_t low_bits = 3, train_limit = 0, epochs = 0;
  std::string rate, threads;  // of fine-tuning
};

Setting setting_for(const char* octet_data) {
  if (octet_data && *octet_data) {
    const std::string root = octet_data;
    return {root + "/models/resnet18_c10.onnx",
            "ResNet-18 on CIFAR-10 (10,000 test images)",
            root + "/cifar10/test_batch.bin",
            root + "/cifar10/train_exact_4000.bin",
            root + "/cifar10/train_exact_4000.bin",
            "cifar10",
            3,
            4000,
            3,
            "0.01",
            "0"};
  }
  return {OCTET_DEMO_MODEL,
          "a small network on 2,000 drawn pictures (set OCTET_DATA for CIFAR-10)",
          "shapes:2000",
          "shapes-train:512",
          "shapes-train:4000",
          "rgb,norm=half",
          3,
          2000,
          4,
          "0.002",
          "1"};  // more do not pay for a network this small
}

int fail(const Error& error) {
  std::fprintf(stderr, "error[%s] %s\n", std::string(name(error.code)).c_str(), error.message.c_str());
  return 1;
}

int64_t size_of_file(const std::string& path) { return static_cast<int64_t>(std::filesystem::file_size(path)); }

double median_ms(const PerformanceReport& report) {
  std::vector<float> ms;
  for (const QueryTimes& q : report.queries) ms.push_back(q.compute);
  return double{summarize_latency(ms, {}).median};
}

class Demo {
 public:
  Demo(Setting setting, std::string folder) : s_(std::move(setting)), folder_(std::move(folder)) {}

  Result<Done> tell() {
    std::printf("octet demo: %s\n%s\n\n", s_.title.c_str(), version_text().c_str());
    for (Result<Done> (Demo::*step)() : {&Demo::read, &Demo::calibrate_all, &Demo::quantize_all, &Demo::fine_tune,
                                         &Demo::measure, &Demo::compare, &Demo::write}) {
      if (Result<Done> done = (this->*step)(); !done) return done;
    }
    return Done{};
  }

 private:
  Result<Done> read() {
    std::printf("1. Read the float model %s\n", s_.model.c_str());
    Result<Model> model = Model::load(s_.model);
    if (!model) return model.error();
    models_.push_back(*std::move(model));
    for (const TensorInfo& in : float_model().inputs())
      std::printf("   input  %s %s %s\n", in.name.c_str(), in.dtype.c_str(), in.shape.c_str());
    story_.repairs = {{"repair", "node", "before", "after"}};
    for (const RepairEdit& edit : float_model().repairs())
      story_.repairs.push_back({edit.repair, edit.node, edit.before, edit.after});
    return Done{};
  }

  Result<Done> calibrate_all() {
    std::printf("2. Calibrate: the range of every activation on 512 training images, four methods in one pass\n");
    CalibrateSpec spec;
    spec.data = {.path = s_.calibration_data, .preprocess = s_.preprocess, .limit = 512, .shuffle_seed = -1};
    spec.threads = 0;
    spec.on_histogram = [this](const TensorHistogram& h) {
      story_.histograms.push_back({h.tensor, h.counts, h.width, h.amax});
    };
    Result<Ranges> ranges = calibrate(float_model(), spec);
    if (!ranges) return ranges.error();
    ranges_ = *std::move(ranges);
    return ranges_.save(folder_ + "/ranges.json");
  }

  Result<Done> quantize_all() {
    std::printf("3. Quantize and export by each method, and prove the accuracy on labelled images\n");
    if (Result<Done> row = add_float_row(); !row) return row;
    for (const char* method : {"max", "entropy", "percentile", "mse"}) {
      QuantizeSpec spec;
      spec.method = method;
      const Result<Quantized> made = quantize(float_model(), ranges_, spec);
      if (!made) return made.error();
      const std::string path = folder_ + "/int8_" + method + ".onnx";
      if (Result<Done> saved = made->model.save(path); !saved) return saved;
      if (Result<Done> row = add_row(std::string("INT8, ") + method, path); !row) return row;
    }
    return Done{};
  }

  /// The INT8 network by the best method so far (never by the test images: entropy is octet's default).
  std::string int8_path() const { return folder_ + "/int8_entropy.onnx"; }

  Result<Done> fine_tune() {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").parent_path().string() + "/octet-train";
    if (!std::filesystem::exists(self)) {
      std::printf(
          "4. Fine-tune: left out, octet-train is not built here (tools/setup.sh train, then make demo again)\n");
      return Done{};
    }
    const std::string bits = std::to_string(s_.low_bits);
    std::printf("4. Fine-tune with %s-bit weights, %lld epochs on %lld training images\n", bits.c_str(),
                static_cast<long long>(s_.epochs), static_cast<long long>(s_.train_limit));
    for (const int64_t epochs : {int64_t{0}, s_.epochs}) {
      const std::string path = folder_ + "/w" + bits + (epochs ? "_tuned.onnx" : "_ptq.onnx");
      const std::vector<std::string> command = {self,
                                                "finetune",
                                                s_.model,
                                                "--ranges",
                                                folder_ + "/ranges.json",
                                                "--data",
                                                s_.train_data,
                                                "--preprocess",
                                                s_.preprocess,
                                                "--limit",
                                                std::to_string(epochs ? s_.train_limit : 256),
                                                "--weight-bits",
                                                bits,
                                                "--weight-method",
                                                "entropy",
                                                "--lsq",
                                                "--lr",
                                                s_.rate,
                                                "--epochs",
                                                std::to_string(epochs),
                                                "--threads",
                                                s_.threads,
                                                "-o",
                                                path};
      if (Result<Done> ran = run(command); !ran) return ran;
      const std::string title = "weights of " + bits + " bits, " + (epochs ? "fine-tuned" : "not trained");
      if (Result<Done> row = add_row(title, path); !row) return row;
    }
    return Done{};
  }

  static Result<Done> run(std::vector<std::string> command) {
    std::fflush(nullptr);
    std::vector<char*> argv;
    for (std::string& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      execv(argv[0], argv.data());
      _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
      return Error{ErrorCode::internal, command[0] + " failed"};
    return Done{};
  }

  SessionSpec evaluation_session() const {
    SessionSpec spec;
    spec.threads = 0;
    spec.batch = 8;
    return spec;
  }

  void add(const std::string& title, const std::string& path, double top1, std::optional<double> agreement) {
    story_.rows.push_back({.name = title,
                           .top1 = top1,
                           .agreement = agreement,
                           .latency_ms = 0,
                           .speed_up = 0,
                           .bytes = size_of_file(path)});
    files_.push_back(path);
    std::printf("   %-28s top-1 %s %%\n", title.c_str(), fixed(100 * top1, 2).c_str());
  }

  /// The float network's answers, which all others are held against image by image.
  Result<Done> add_float_row() {
    Result<Session> session = Session::build(float_model(), evaluation_session());
    if (!session) return session.error();
    Result<Baseline> made =
        Baseline::make(*session, "FP32", {.data = {.path = s_.test_data, .preprocess = s_.preprocess}, .progress = {}});
    if (!made) return made.error();
    baseline_ = *std::move(made);
    add("FP32", s_.model, baseline_->report().first.top1(), {});
    return Done{};
  }

  Result<Done> add_row(const std::string& title, const std::string& path) {
    Result<Session> session = Session::open(path, evaluation_session());
    if (!session) return session.error();
    const Result<EvaluationReport> report = baseline_->against(*session, title);
    if (!report) return report.error();
    add(title, path, report->second->top1(), report->comparison->agreement);
    return Done{};
  }

  /// Another form of the network, in turns with the float one as well.
  static Result<Done> time_row(const SessionMaker& slow, const std::string& path, StoryRow& row) {
    SessionSpec spec;
    spec.threads = 1;
    spec.batch = 1;
    const Result<SessionMaker> session = SessionMaker::open(path, spec);
    if (!session) return session.error();
    const Result<std::pair<PerformanceReport, PerformanceReport>> speed =
        bench_paired(slow, "FP32", *session, row.name, {.iterations = 50, .duration_s = 1, .warmup_ms = 100});
    if (!speed) return speed.error();
    row.latency_ms = median_ms(speed->second);
    row.speed_up = speed_up(speed->first, speed->second).ratio;
    return Done{};
  }

  Result<Done> measure() {
    std::printf("5. Measure, one image at a time, one thread, float and INT8 in turns\n");
    SessionSpec spec;
    spec.threads = 1;
    spec.batch = 1;
    Result<Session> slow = Session::build(float_model(), spec);
    if (!slow) return slow.error();
    Result<Session> fast = Session::open(int8_path(), spec);
    if (!fast) return fast.error();
    const Result<SessionMaker> slow_ones = SessionMaker::of(float_model(), spec),
                               fast_ones = SessionMaker::open(int8_path(), spec);
    if (!slow_ones) return slow_ones.error();
    if (!fast_ones) return fast_ones.error();
    Result<std::pair<PerformanceReport, PerformanceReport>> speed =
        bench_paired(*slow_ones, "FP32", *fast_ones, "INT8", {.iterations = 100, .duration_s = 2, .warmup_ms = 200});
    if (!speed) return speed.error();
    const double float_ms = median_ms(speed->first), int8_ms = median_ms(speed->second);
    for (size_t i = 0; i < story_.rows.size(); ++i) {
      StoryRow& row = story_.rows[i];
      if (files_[i] == s_.model) {
        row.latency_ms = float_ms, row.speed_up = 1;
      } else if (files_[i] == int8_path()) {
        row.latency_ms = int8_ms, row.speed_up = speed_up(speed->first, speed->second).ratio;
      } else if (Result<Done> timed = time_row(*slow_ones, files_[i], row); !timed) {
        return timed;
      }
    }
    description_ = slow->description();
    for (auto [session, report] : {std::pair(&*slow, &speed->first), std::pair(&*fast, &speed->second)}) {
      const Result<PerformanceReport> profile =
          bench(*session, report->model, {.iterations = 20, .duration_s = 0.5, .warmup_ms = 50, .profile = true});
      if (!profile) return profile.error();
      report->layers = profile->layers;
    }
    story_.first = std::move(speed->first);
    story_.second = std::move(speed->second);
    return Done{};
  }

  Result<Done> compare() {
    std::printf("6. Compare every layer with the float network\n");
    const std::string plan = folder_ + "/int8.plan";
    const Result<Model> int8 = Model::load(int8_path());
    if (!int8) return int8.error();
    Result<EngineFile> engine = build_engine(*int8, {});
    if (!engine) return engine.error();
    if (Result<Done> saved = engine->save(plan); !saved) return saved;
    Result<LayerErrorReport> errors = compare_layers(
        float_model(), *engine,
        {.data = {.path = s_.test_data, .preprocess = s_.preprocess, .limit = 16}, .threads = 1, .progress = {}});
    if (!errors) return errors.error();
    story_.errors = *std::move(errors);
    return Done{};
  }

  Result<Done> write() {
    story_.title = "octet: " + s_.title;
    story_.summary =
        "From one float network to INT8: every calibration, what it costs in accuracy, what it gains in time.";
    const std::time_t now = std::time(nullptr);
    char date[32];
    std::strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
    story_.provenance = {{"octet", version_text()},
                         {"date", date},
                         {"network", s_.model},
                         {"hash", float_model().hash()},
                         {"calibration", s_.calibration_data + ", 512 samples, " + s_.preprocess},
                         {"test", s_.test_data},
                         {"latency", "median, batch 1, " + description_}};
    if (Result<Done> written = write_text_file(folder_ + "/report.html", story_page(story_)); !written) return written;
    std::printf("\n%s\nlatency: median of %zu runs each, batch 1, %s\neverything on one page: %s/report.html\n",
                story_table(story_).c_str(), story_.first->queries.size(), description_.c_str(), folder_.c_str());
    return Done{};
  }

  const Model& float_model() const { return models_.front(); }

  Setting s_;
  std::string folder_, description_;
  std::vector<std::string> files_;  // of the story's rows
  std::vector<Model> models_;
  std::optional<Baseline> baseline_;
  Ranges ranges_;
  Story story_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : "build/demo";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail({ErrorCode::io, folder + ": " + error.message()});
  const Result<Done> told = Demo(setting_for(std::getenv("OCTET_DATA")), folder).tell();
  return told ? 0 : fail(told.error());
}
