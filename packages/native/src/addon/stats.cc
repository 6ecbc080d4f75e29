// Statistics of many containers in one job on a thread of the pool: a few small files each, opened relative to the
// directory of all containers, parsed here, handed over as plain numbers. Nothing is kept open in between.
#include <fcntl.h>

#include <array>
#include <charconv>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "functions.h"
#include "unique_fd.h"

namespace {

// The order of lib/stats.ts.
enum Field : size_t {
  kCpuUsage,
  kCpuUser,
  kCpuSystem,
  kPeriods,
  kThrottledPeriods,
  kThrottled,
  kMemoryCurrent,
  kInactiveFile,
  kCache,
  kSwap,
  kPeak,
  kOomKills,
  kPids,
  kPidsRefused,
  kFrozen,
  kFieldCount
};
using Row = std::array<double, kFieldCount>;

// Where the parent of all containers lies in the hierarchy that tells each of these; a closed descriptor where none does.
enum Role : size_t { kUsage, kCpu, kMemory, kPidsRole, kIo, kFreezer, kRoleCount };

struct Place {
  UniqueFd dir;
  bool v1 = false;
};

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kIoColumns = 7;  // index of the container, major, minor, bytes read and written, reads and writes

double parse(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? static_cast<double>(value) : kUnknown;
}

// The number behind a word at the start of a line: "oom_kill 3".
double field(std::string_view text, std::string_view word) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.size() > word.size() && line.starts_with(word) && line[word.size()] == ' ')
      return parse(line.substr(word.size() + 1));
    at = end + 1;
  }
  return kUnknown;
}

class Reader {
 public:
  Reader(const std::array<Place, kRoleCount>& places, std::vector<double>& io) : places_(places), io_(io) {}

  void read(size_t index, const std::string& id, Row& row) {
    index_ = index;
    id_ = &id;
    row.fill(kUnknown);
    cpu(row);
    memory(row);
    row[kPids] = parse(file(kPidsRole, "pids.current"));
    row[kPidsRefused] = field(file(kPidsRole, "pids.events"), "max");
    frozen(row);
    if (places_[kIo].v1)
      io_v1();
    else
      io_v2();
  }

 private:
  // The text of a control file, or nothing. It is valid until the next call.
  std::string_view file(Role role, const char* name) {
    const Place& place = places_[role];
    if (!place.dir.valid()) return {};
    path_.assign(*id_).append("/").append(name);
    const UniqueFd fd(openat(place.dir.get(), path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid()) return {};
    size_t size = 0;
    for (;;) {
      const ssize_t more = ::read(fd.get(), buffer_.data() + size, buffer_.size() - size);
      if (more < 0 && errno == EINTR) continue;
      if (more <= 0 || size + static_cast<size_t>(more) == buffer_.size())
        return {buffer_.data(), size + static_cast<size_t>(std::max<ssize_t>(more, 0))};
      size += static_cast<size_t>(more);
    }
  }

  void cpu(Row& row) {
    if (places_[kUsage].v1) {
      row[kCpuUsage] = parse(file(kUsage, "cpuacct.usage")) / 1000;
      row[kCpuUser] = parse(file(kUsage, "cpuacct.usage_user")) / 1000;
      row[kCpuSystem] = parse(file(kUsage, "cpuacct.usage_sys")) / 1000;
    } else {
      const std::string_view text = file(kUsage, "cpu.stat");
      row[kCpuUsage] = field(text, "usage_usec");
      row[kCpuUser] = field(text, "user_usec");
      row[kCpuSystem] = field(text, "system_usec");
      // Where v2 has the controller, the same file tells both.
      if (!places_[kCpu].v1) return throttling(text, row);
    }
    throttling(file(kCpu, "cpu.stat"), row);
  }

  void throttling(std::string_view text, Row& row) const {
    row[kPeriods] = field(text, "nr_periods");
    row[kThrottledPeriods] = field(text, "nr_throttled");
    row[kThrottled] = places_[kCpu].v1 ? field(text, "throttled_time") / 1000 : field(text, "throttled_usec");
  }

  void memory(Row& row) {
    const bool v1 = places_[kMemory].v1;
    row[kMemoryCurrent] = parse(file(kMemory, v1 ? "memory.usage_in_bytes" : "memory.current"));
    const std::string_view text = file(kMemory, "memory.stat");
    row[kInactiveFile] = field(text, "inactive_file");
    row[kCache] = field(text, v1 ? "cache" : "file");
    row[kSwap] = v1 ? field(text, "swap") : parse(file(kMemory, "memory.swap.current"));
    row[kPeak] = parse(file(kMemory, v1 ? "memory.max_usage_in_bytes" : "memory.peak"));
    row[kOomKills] = field(file(kMemory, v1 ? "memory.oom_control" : "memory.events"), "oom_kill");
  }

  // Of one that is still freezing not every process stands still.
  void frozen(Row& row) {
    const std::string_view text = file(kFreezer, places_[kFreezer].v1 ? "freezer.state" : "cgroup.events");
    if (text.empty()) return;
    row[kFrozen] = places_[kFreezer].v1 ? (text.starts_with("FROZEN") ? 1 : 0) : field(text, "frozen");
  }

  // The row of a device like "8:0", made when it is new.
  double* device(std::string_view name, size_t first) {
    const size_t colon = name.find(':');
    if (colon == std::string_view::npos) return nullptr;
    const double major = parse(name.substr(0, colon));
    const double minor = parse(name.substr(colon + 1));
    for (size_t at = first; at < io_.size(); at += kIoColumns)
      if (io_[at + 1] == major && io_[at + 2] == minor) return &io_[at];
    io_.insert(io_.end(), {static_cast<double>(index_), major, minor, 0, 0, 0, 0});
    return &io_[io_.size() - kIoColumns];
  }

  // "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6"
  void io_v2() {
    static constexpr std::array<std::string_view, 4> kWords = {"rbytes=", "wbytes=", "rios=", "wios="};
    const size_t first = io_.size();
    each_line(file(kIo, "io.stat"), [&](std::string_view line) {
      double* row = device(line.substr(0, line.find(' ')), first);
      for (size_t i = 0; row != nullptr && i < kWords.size(); i++) {
        const size_t at = line.find(kWords[i]);
        if (at != std::string_view::npos) row[3 + i] = parse(line.substr(at + kWords[i].size()));
      }
    });
  }

  // "8:0 Read 4096" in one file of bytes and one of operations
  void io_v1() {
    static constexpr std::array<const char*, 2> kFiles = {"blkio.throttle.io_service_bytes_recursive",
                                                          "blkio.throttle.io_serviced_recursive"};
    const size_t first = io_.size();
    for (size_t i = 0; i < kFiles.size(); i++) {
      each_line(file(kIo, kFiles[i]), [&](std::string_view line) {
        const size_t space = line.find(' ');
        if (space == std::string_view::npos) return;
        const std::string_view kind = line.substr(space + 1);
        const bool reads = kind.starts_with("Read ");
        if (!reads && !kind.starts_with("Write ")) return;
        double* row = device(line.substr(0, space), first);
        if (row != nullptr) row[3 + 2 * i + (reads ? 0 : 1)] = parse(kind.substr(kind.find(' ') + 1));
      });
    }
  }

  template <typename Use>
  static void each_line(std::string_view text, Use use) {
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      if (end > at) use(text.substr(at, end - at));
      at = end + 1;
    }
  }

  const std::array<Place, kRoleCount>& places_;
  std::vector<double>& io_;
  size_t index_ = 0;
  const std::string* id_ = nullptr;
  std::string path_;
  std::array<char, 16384> buffer_;
};

class StatsWorker : public Napi::AsyncWorker {
 public:
  StatsWorker(Napi::Env env, std::array<std::string, kRoleCount> paths, std::array<bool, kRoleCount> v1,
              std::vector<std::string> ids)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        paths_(std::move(paths)),
        v1_(v1),
        ids_(std::move(ids)) {}

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    std::array<Place, kRoleCount> places;
    for (size_t i = 0; i < kRoleCount; i++) {
      places[i].v1 = v1_[i];
      if (!paths_[i].empty()) places[i].dir.reset(open(paths_[i].c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    rows_.resize(ids_.size());
    Reader reader(places, io_);
    for (size_t i = 0; i < ids_.size(); i++) reader.read(i, ids_[i], rows_[i]);
  }

  void OnOK() override {
    const Napi::Env env = Env();
    auto values = Napi::Float64Array::New(env, rows_.size() * kFieldCount);
    for (size_t i = 0; i < rows_.size(); i++) std::copy(rows_[i].begin(), rows_[i].end(), values.Data() + i * kFieldCount);
    auto io = Napi::Float64Array::New(env, io_.size());
    std::copy(io_.begin(), io_.end(), io.Data());
    Napi::Object result = Napi::Object::New(env);
    result.Set("values", values);
    result.Set("io", io);
    deferred_.Resolve(result);
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::array<std::string, kRoleCount> paths_;
  std::array<bool, kRoleCount> v1_;
  std::vector<std::string> ids_;
  std::vector<Row> rows_;
  std::vector<double> io_;
};

}  // namespace

Napi::Value read_stats(const Napi::CallbackInfo& info) {
  const auto given_paths = info[0].As<Napi::Array>();
  const auto given_v1 = info[1].As<Napi::Array>();
  const auto given_ids = info[2].As<Napi::Array>();
  std::array<std::string, kRoleCount> paths;
  std::array<bool, kRoleCount> v1{};
  for (uint32_t i = 0; i < kRoleCount; i++) {
    paths[i] = given_paths.Get(i).As<Napi::String>().Utf8Value();
    v1[i] = given_v1.Get(i).As<Napi::Boolean>().Value();
  }
  std::vector<std::string> ids(given_ids.Length());
  for (uint32_t i = 0; i < ids.size(); i++) ids[i] = given_ids.Get(i).As<Napi::String>().Utf8Value();
  auto* worker = new StatsWorker(info.Env(), std::move(paths), v1, std::move(ids));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}
