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
  double integer_mmac = 0, integer_needed_mmac = 0, integer_us = 0;
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
      s.integer_mmac += l.mmac;
      s.integer_needed_mmac += needed(l);
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

std::string gbs(double rate, double bytes, const char* level) {
  if (rate <= 0) return std::string("from ") + level + " not to be measured alone";
  const bool in_kib = bytes < 1 << 20;
  return fixed(rate, 0) + " GB/s from " + level + " (" + fixed(bytes / (in_kib ? 1 << 10 : 1 << 20), in_kib ? 0 : 1) +
         (in_kib ? " KiB)" : " MiB)");
}

std::string percent(double share, int digits) { return fixed(100 * share, digits) + " %"; }

/// What the table's columns mean, and the two shares of the peak.
std::string about_shares(const RooflineReport& r) {
  const PeakShare share = integer_share(r);
  if (share.nominal <= 0) return "";
  const double gmacs = share.nominal * r.u8s8_gmacs;
  return "Integer layers with products run at " + percent(share.needed, 1) +
         " of the peak (of the whole run: " + percent(share.needed_of_run, 1) +
         "), by the products that their ways need: " + percent(share.needed_part, 1) +
         " of all.\n"
         "By all products as the ops define them, " +
         fixed(gmacs, 0) + " GMAC/s, that reads " + percent(share.nominal, 1) + " (" +
         percent(share.nominal_of_run, 1) +
         ").\n"
         "GMAC/s: all products of the op, those with padding among them. Need(%): how many of them the layer's way "
         "needs: none with padding,\n"
         "of Winograd's a quarter, which count twice because 16-bit products take twice as long. Peak(%): the rate of "
         "those needed over the peak.\n";
}

std::string line(const std::string& what, double us, double total) {
  return "  " + what + ": " + fixed(us / 1e3, 4) + " ms, " + fixed(total > 0 ? 100 * us / total : 0, 1) + " %\n";
}

}  // namespace

PeakShare integer_share(const RooflineReport& r) {
  const Split s = split_of(r);
  PeakShare share;
  if (r.u8s8_gmacs <= 0 || s.integer_us <= 0 || s.integer_mmac <= 0) return share;
  const double all_us = s.integer_mmac * 1e3 / r.u8s8_gmacs, needed_us = s.integer_needed_mmac * 1e3 / r.u8s8_gmacs;
  share.nominal = all_us / s.integer_us;
  share.needed = needed_us / s.integer_us;
  share.needed_part = s.integer_needed_mmac / s.integer_mmac;
  if (r.whole_us > 0) share.nominal_of_run = all_us / r.whole_us, share.needed_of_run = needed_us / r.whole_us;
  return share;
}

std::string to_text(const RooflineReport& r) {
  const Split s = split_of(r);
  std::vector<std::vector<std::string>> rows = {
      {"us", "Time(%)", "GMAC/s", "Need(%)", "Peak(%)", "KB", "GB/s", "Layer", "Op", "Tactic"}};
  for (const RooflineLayer& l : r.layers) {
    const double gmacs = l.us > 0 ? l.mmac * 1e3 / l.us : 0, peak = peak_gmacs(r, l);
    rows.push_back({fixed(l.us, 2), fixed(s.total > 0 ? 100 * l.us / s.total : 0, 1), l.mmac > 0 ? fixed(gmacs, 1) : "",
                    l.mmac > 0 && l.is_integer ? fixed(100 * needed(l) / l.mmac, 0) : "",
                    l.mmac > 0 && peak > 0 && l.us > 0 ? fixed(100 * needed(l) * 1e3 / l.us / peak, 0) : "",
                    fixed(l.bytes / 1e3, 0), l.us > 0 ? fixed(l.bytes / l.us / 1e3, 1) : "", l.name, l.op, l.tactic});
  }
  std::string text = "=== Roofline (" + r.device + ") ===\n";
  if (r.u8s8_gmacs > 0)
    text += "Peak of " + (r.threads == 1 ? "one thread" : std::to_string(r.threads) + " threads at the same time") +
            ", measured in this run: u8 x s8 " + fixed(r.u8s8_gmacs, 0) + " GMAC/s (" + r.u8s8_instruction + "), f32 " +
            fixed(r.f32_gmacs, 0) + " GMAC/s (" + r.f32_instruction + "), " +
            (r.bf16_gmacs > 0 ? "bf16 " + fixed(r.bf16_gmacs, 0) + " GMAC/s (" + r.bf16_instruction + "), " : "") +
            "reading " + gbs(r.l2_gbs, r.l2_read_bytes, "L2") + ", " + gbs(r.l3_gbs, r.l3_read_bytes, "L3") + ", " +
            gbs(r.dram_gbs, r.dram_read_bytes, "DRAM") + (r.threads == 1 ? "\n" : ", bytes of each thread\n");
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
  text += about_shares(r);
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
               {"l2_read_bytes", r.l2_read_bytes},
               {"l3_read_bytes", r.l3_read_bytes},
               {"dram_read_bytes", r.dram_read_bytes},
               {"fork_us", r.fork_us}};
  const PeakShare share = integer_share(r);
  j["integer_share"] = {{"nominal", share.nominal},
                        {"needed", share.needed},
                        {"nominal_of_run", share.nominal_of_run},
                        {"needed_of_run", share.needed_of_run},
                        {"needed_part", share.needed_part}};
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
