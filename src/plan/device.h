#pragma once
// What a back end with a device of its own is told, and what it tells of a run.

#include "base/dtype.h"

namespace octet {

/// One run as the device's own clock saw it, in seconds.
struct DeviceTimes {
  double h2d = 0, compute = 0, d2h = 0;
  int repeats = 1;     // asked for: compute runs so often in a row, and its time is divided by it
  double enqueue = 0;  // of the host: what it took to hand the compute over, not to wait for it
  double h2d_start = 0, compute_start = 0, d2h_start = 0;  // since Backend::start_clock()
};

/// How the host waits for a device: as the driver likes, asking all the time, or asleep.
enum class DeviceWait { driver, spin, block };

/// What a back end with a device of its own is told.
struct DeviceOptions {
  int ordinal = 0;
  DType floats = DType::f32;  // f16: float layers store and read half precision, and add in f32
  bool tf32 = false;          // f32 products by one tf32 product instead of three
  bool tune = true;           // time the tactics of each layer when a plan is prepared
  bool graph = true;          // a run is one graph of the device; false: its kernels are launched one by one
  DeviceWait wait = DeviceWait::driver;
  bool managed = false;  // the caller's values lie in managed memory there
};

}  // namespace octet
