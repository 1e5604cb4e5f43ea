// Files read (data, inits, metrics, draws) and written (draws, configuration, profile) by a run.
#ifndef BAYESDE_FILES_HPP
#define BAYESDE_FILES_HPP

#include <stan/callbacks/json_writer.hpp>
#include <stan/callbacks/unique_stream_writer.hpp>
#include <stan/io/dump.hpp>
#include <stan/io/empty_var_context.hpp>
#include <stan/io/json/json_data.hpp>
#include <stan/io/var_context.hpp>
#include <stan/math/rev.hpp>
#include <stan/model/model_base.hpp>
#include <stan/version.hpp>

#include <ctime>
#include <fstream>
#include <iomanip>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "arguments.hpp"

namespace bayesde {

using context = std::shared_ptr<stan::io::var_context>;
using csv_writer = stan::callbacks::unique_stream_writer<std::ofstream>;
using json_writer = stan::callbacks::json_writer<std::ofstream>;

// "dir/name.csv" as ("dir/name", ".csv").
inline std::pair<std::string, std::string> split_suffix(const std::string& path) {
  const std::size_t dot = path.rfind('.'), slash = path.rfind('/');
  if (dot == std::string::npos || (slash != std::string::npos && dot < slash))
    return {path, ""};
  return {path.substr(0, dot), path.substr(dot)};
}

inline std::ifstream open_input(const std::string& path) {
  std::ifstream in(path);
  if (!in)
    throw usage_error("cannot read file '" + path + "'");
  return in;
}

// Values by variable name from a JSON file, or from R's dump format; none at all without a file.
inline context read_context(const std::string& path) {
  if (path.empty())
    return std::make_shared<stan::io::empty_var_context>();
  std::ifstream in = open_input(path);
  try {
    if (split_suffix(path).second == ".json")
      return std::make_shared<stan::json::json_data>(in);
    return std::make_shared<stan::io::dump>(in);
  } catch (const std::exception& e) {
    throw usage_error("in file '" + path + "': " + e.what());
  }
}

// One context per chain: name_ID.json, name_ID+1.json, ... where the first of them exists, otherwise
// name.json for all.
inline std::vector<context> read_contexts(const std::string& path, std::size_t chains, unsigned int id) {
  const auto [stem, suffix] = split_suffix(path);
  const auto of_chain = [&, stem = stem, suffix = suffix](std::size_t i) {
    return stem + "_" + std::to_string(id + i) + suffix;
  };
  if (chains == 1 || path.empty() || !std::ifstream(of_chain(0)))
    return std::vector<context>(chains, read_context(path));
  std::vector<context> contexts;
  for (std::size_t i = 0; i < chains; ++i)
    contexts.push_back(read_context(of_chain(i)));
  return contexts;
}

// The output of chain i of several: name_ID+i.csv; of a single chain: name.csv.
inline std::vector<std::string> chain_paths(const std::string& path, std::size_t chains, unsigned int id,
                                            const std::string& tag = "", const std::string& new_suffix = "") {
  const auto [stem, suffix] = split_suffix(path);
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < chains; ++i)
    paths.push_back(stem + tag + (chains > 1 ? "_" + std::to_string(id + i) : "")
                    + (new_suffix.empty() ? suffix : new_suffix));
  return paths;
}

inline std::unique_ptr<std::ofstream> open_output(const std::string& path, int sig_figs) {
  auto out = std::make_unique<std::ofstream>(path);
  if (!*out)
    throw usage_error("cannot write to file '" + path + "'");
  if (sig_figs > -1)
    *out << std::setprecision(sig_figs);
  return out;
}

inline void write_header(std::ostream& out, const argument& args, const stan::model::model_base& model) {
  char now[64];
  const std::time_t clock = std::time(nullptr);
  std::strftime(now, sizeof now, "%Y-%m-%d %H:%M:%S UTC", std::gmtime(&clock));
  out << "# stan_version_major = " << stan::MAJOR_VERSION
      << "\n# stan_version_minor = " << stan::MINOR_VERSION
      << "\n# stan_version_patch = " << stan::PATCH_VERSION << "\n# model = " << model.model_name()
      << "\n# start_datetime = " << now << "\n";
  print_comments(args, out);
  for (const auto& line : model.model_compile_info())
    out << "# " << line << "\n";
}

// A writer with the run's configuration at the head of the file; without a path it writes nothing.
inline csv_writer open_csv(const std::string& path, const argument& args,
                           const stan::model::model_base& model) {
  if (path.empty())
    return csv_writer(std::unique_ptr<std::ofstream>());
  auto out = open_output(path, args["output"]["sig_figs"].whole());
  write_header(*out, args, model);
  return csv_writer(std::move(out), "# ");
}

inline json_writer open_json(const std::string& path, const argument& args) {
  if (path.empty())
    return json_writer();
  return json_writer(open_output(path, args["output"]["sig_figs"].whole()));
}

inline void write_config(const argument& args, const stan::model::model_base& model) {
  json_writer out = open_json(chain_paths(args["output"]["file"].value, 1, 0, "_config", ".json")[0], args);
  out.begin_record();
  out.write("stan_major_version", stan::MAJOR_VERSION);
  out.write("stan_minor_version", stan::MINOR_VERSION);
  out.write("stan_patch_version", stan::PATCH_VERSION);
  out.write("model_name", model.model_name());
  write_records(args, out);
  out.end_record();
}

inline void write_profile(const std::string& path, const stan::math::profile_map& profiles, int sig_figs) {
  auto out = open_output(path, sig_figs);
  *out << "name,thread_id,total_time,forward_time,reverse_time,chain_stack,no_chain_stack,autodiff_calls,"
          "no_autodiff_calls\n";
  for (const auto& [key, spent] : profiles)
    *out << key.first << "," << key.second << "," << spent.get_fwd_time() + spent.get_rev_time() << ","
         << spent.get_fwd_time() << "," << spent.get_rev_time() << "," << spent.get_chain_stack_used() << ","
         << spent.get_nochain_stack_used() << "," << spent.get_num_AD_fwd_passes() << ","
         << spent.get_num_no_AD_fwd_passes() << "\n";
}

inline std::vector<std::string> split_line(const std::string& line) {
  std::vector<std::string> cells;
  std::stringstream in(line);
  for (std::string cell; std::getline(in, cell, ',');)
    cells.push_back(cell);
  return cells;
}

// Where each of the model's parameters stands among the columns of a CSV file.
inline std::vector<std::size_t> parameter_columns(const std::vector<std::string>& header,
                                                  const stan::model::model_base& model,
                                                  const std::string& path) {
  std::vector<std::string> names;
  model.constrained_param_names(names, false, false);
  std::vector<std::size_t> columns;
  for (const auto& name : names) {
    const auto found = std::find(header.begin(), header.end(), name);
    if (found == header.end())
      throw usage_error("file '" + path + "' has no column '" + name + "': it is not of this model");
    columns.push_back(found - header.begin());
  }
  return columns;
}

// Draws of the parameters, constrained, from a CSV file of this program: one row per draw.
inline Eigen::MatrixXd read_draws(const std::string& path, const stan::model::model_base& model) {
  std::ifstream in = open_input(path);
  std::vector<std::size_t> columns;
  std::vector<double> values;
  std::size_t rows = 0;
  bool has_header = false;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#')
      continue;
    const auto cells = split_line(line);
    if (!has_header) {
      columns = parameter_columns(cells, model, path);
      has_header = true;
      continue;
    }
    ++rows;
    for (const std::size_t column : columns) {
      if (column >= cells.size())
        throw usage_error("draw " + std::to_string(rows) + " of file '" + path + "' is cut short");
      values.push_back(std::strtod(cells[column].c_str(), nullptr));
    }
  }
  if (rows == 0)
    throw usage_error("file '" + path + "' holds no draws");
  using by_row = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return Eigen::Map<const by_row>(values.data(), rows, columns.size());
}

}  // namespace bayesde
#endif
