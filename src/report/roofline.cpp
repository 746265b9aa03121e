#include "report/roofline.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/json_text.h"
#include "report/text_table.h"

namespace octet {
namespace {

double peak_gmacs(const RooflineReport& r, const RooflineLayer& l) {
  return l.is_integer ? r.u8s8_gmacs : l.is_bf16 ? r.bf16_gmacs : r.f32_gmacs;
}

double needed(const RooflineLayer& l) { return l.needed_mmac < 0 ? l.mmac : l.needed_mmac; }

/// Microseconds by kind. Arithmetic is what the products alone would take at the measured peak; the rest of an integer
/// layer is loads that do not hide, tails, and the way from sums to codes.
struct Split {
  double integer_products = 0, integer_rest = 0, float_layers = 0, convert = 0, other = 0, total = 0, forks = 0;
  double integer_mmac = 0, integer_us = 0;
};

Split split_of(const RooflineReport& r) {
  Split s;
  for (const RooflineLayer& l : r.layers) {
    s.total += l.us;
    if (l.is_convert) {
      s.convert += l.us;
    } else if (l.is_integer && l.mmac > 0) {
      const double peak = peak_gmacs(r, l);
      const double products = peak > 0 ? std::min(l.us, needed(l) * 1e3 / peak) : 0;
      s.integer_products += products;
      s.integer_rest += l.us - products;
      s.integer_mmac += needed(l);
      s.integer_us += l.us;
    } else if (!l.is_integer && l.mmac > 0) {
      s.float_layers += l.us;
    } else {
      s.other += l.us;
    }
  }
  s.forks = r.fork_us * static_cast<double>(r.layers.size());
  return s;
}

std::string line(const std::string& what, double us, double total) {
  return "  " + what + ": " + fixed(us / 1e3, 4) + " ms, " + fixed(total > 0 ? 100 * us / total : 0, 1) + " %\n";
}

}  // namespace

std::string to_text(const RooflineReport& r) {
  const Split s = split_of(r);
  std::vector<std::vector<std::string>> rows = {
      {"us", "Time(%)", "GMAC/s", "Peak(%)", "KB", "GB/s", "Layer", "Op", "Tactic"}};
  for (const RooflineLayer& l : r.layers) {
    const double gmacs = l.us > 0 ? l.mmac * 1e3 / l.us : 0, peak = peak_gmacs(r, l);
    rows.push_back({fixed(l.us, 2), fixed(s.total > 0 ? 100 * l.us / s.total : 0, 1), l.mmac > 0 ? fixed(gmacs, 1) : "",
                    l.mmac > 0 && peak > 0 && l.us > 0 ? fixed(100 * needed(l) * 1e3 / l.us / peak, 0) : "",
                    fixed(l.bytes / 1e3, 0), l.us > 0 ? fixed(l.bytes / l.us / 1e3, 1) : "", l.name, l.op, l.tactic});
  }
  std::string text = "=== Roofline (" + r.device + ") ===\n";
  if (r.u8s8_gmacs > 0)
    text += "Peak of " + (r.threads == 1 ? "one thread" : std::to_string(r.threads) + " threads at the same time") +
            ", measured in this run: u8 x s8 " + fixed(r.u8s8_gmacs, 0) + " GMAC/s (" + r.u8s8_instruction + "), f32 " +
            fixed(r.f32_gmacs, 0) + " GMAC/s (" + r.f32_instruction + "), " +
            (r.bf16_gmacs > 0 ? "bf16 " + fixed(r.bf16_gmacs, 0) + " GMAC/s (" + r.bf16_instruction + "), " : "") +
            "reading " + fixed(r.l2_gbs, 0) + " GB/s from L2, " + fixed(r.l3_gbs, 0) + " from L3, " +
            fixed(r.dram_gbs, 0) + " from DRAM\n";
  text += text_table(rows);
  text += "Whole run " + fixed(r.whole_us / 1e3, 4) + " ms; layers with the clock between them " +
          fixed(s.total / 1e3, 4) + " ms:\n";
  text += line("integer layers, products at the peak", s.integer_products, s.total);
  text += line("integer layers, the rest (requantize, loads, tails)", s.integer_rest, s.total);
  text += line("float layers with products", s.float_layers, s.total);
  text += line("quantize, dequantize, reformat", s.convert, s.total);
  text += line("all others (pooling, additions, movement)", s.other, s.total);
  if (r.threads > 1)
    text += "  of all that, threads waiting for each other: about " + fixed(s.forks / 1e3, 4) + " ms (" +
            fixed(r.fork_us, 2) + " us each)\n";
  if (s.integer_us > 0 && r.u8s8_gmacs > 0)
    text += "Integer layers with products reach " + fixed(100 * s.integer_mmac * 1e3 / s.integer_us / r.u8s8_gmacs, 1) +
            " % of the peak (products that the layers' own ways need: none in the padding; GMAC/s counts all of the "
            "op's)\n";
  return text;
}

std::string to_json(const RooflineReport& r) {
  const Split s = split_of(r);
  nlohmann::ordered_json j;
  j["device"] = r.device;
  j["threads"] = r.threads;
  j["whole_us"] = r.whole_us;
  j["peak"] = {{"threads", r.threads},
               {"u8s8_gmacs", r.u8s8_gmacs},
               {"u8s8_instruction", r.u8s8_instruction},
               {"f32_gmacs", r.f32_gmacs},
               {"f32_instruction", r.f32_instruction},
               {"bf16_gmacs", r.bf16_gmacs},
               {"bf16_instruction", r.bf16_instruction},
               {"l2_gbs", r.l2_gbs},
               {"l3_gbs", r.l3_gbs},
               {"dram_gbs", r.dram_gbs},
               {"fork_us", r.fork_us}};
  j["split_us"] = {{"integer_products", s.integer_products},
                   {"integer_rest", s.integer_rest},
                   {"float", s.float_layers},
                   {"convert", s.convert},
                   {"other", s.other},
                   {"forks", s.forks},
                   {"total", s.total}};
  j["layers"] = nlohmann::ordered_json::array();
  for (const RooflineLayer& l : r.layers) {
    const double gmacs = l.us > 0 ? l.mmac * 1e3 / l.us : 0, peak = peak_gmacs(r, l);
    j["layers"].push_back({{"name", l.name},
                           {"op", l.op},
                           {"tactic", l.tactic},
                           {"us", l.us},
                           {"mmac", l.mmac},
                           {"bytes", l.bytes},
                           {"needed_mmac", needed(l)},
                           {"gmacs", gmacs},
                           {"peak_share", peak > 0 && l.us > 0 ? needed(l) * 1e3 / l.us / peak : 0}});
  }
  return json_text(j);
}

}  // namespace octet
