// The methods: each reads its arguments and hands over to one of Stan's services.
#ifndef BAYESDE_METHODS_HPP
#define BAYESDE_METHODS_HPP

#include <stan/callbacks/stream_logger.hpp>
#include <stan/io/array_var_context.hpp>
#include <stan/model/log_prob_grad.hpp>
#include <stan/services/diagnose/diagnose.hpp>
#include <stan/services/experimental/advi/fullrank.hpp>
#include <stan/services/experimental/advi/meanfield.hpp>
#include <stan/services/optimize/bfgs.hpp>
#include <stan/services/optimize/laplace_sample.hpp>
#include <stan/services/optimize/lbfgs.hpp>
#include <stan/services/optimize/newton.hpp>
#include <stan/services/pathfinder/multi.hpp>
#include <stan/services/pathfinder/single.hpp>
#include <stan/services/sample/fixed_param.hpp>
#include <stan/services/sample/hmc_nuts_dense_e.hpp>
#include <stan/services/sample/hmc_nuts_dense_e_adapt.hpp>
#include <stan/services/sample/hmc_nuts_diag_e.hpp>
#include <stan/services/sample/hmc_nuts_diag_e_adapt.hpp>
#include <stan/services/sample/hmc_nuts_unit_e.hpp>
#include <stan/services/sample/hmc_nuts_unit_e_adapt.hpp>
#include <stan/services/sample/standalone_gqs.hpp>
#include <stan/services/util/create_unit_e_dense_inv_metric.hpp>
#include <stan/services/util/create_unit_e_diag_inv_metric.hpp>

#include <iostream>
#include <string>
#include <tuple>
#include <vector>

#include "files.hpp"

namespace bayesde {

namespace services = stan::services;
using model_t = stan::model::model_base;

// What every method needs: the model, the arguments, the starts and where output goes.
struct run {
  model_t& model;
  const argument& args;
  const argument& method;
  const std::size_t chains;  // chains, or paths of pathfinder
  const unsigned int seed, id;
  const int refresh;
  double init_radius = 2;
  std::vector<context> inits;
  stan::callbacks::interrupt interrupt;
  stan::callbacks::stream_logger logger{std::cout, std::cout, std::cout, std::cerr, std::cerr};
  std::vector<stan::callbacks::writer> silent;

  run(model_t& model, const argument& args, std::size_t chains)
      : model(model),
        args(args),
        method(args["method"]),
        chains(chains),
        seed(args["random"]["seed"].whole()),
        id(args["id"].whole()),
        refresh(args["output"]["refresh"].whole()),
        silent(chains) {
    const std::string& init = args["init"].value;  // a radius, or a file
    char* end = nullptr;
    const double radius = std::strtod(init.c_str(), &end);
    const bool is_radius = !init.empty() && *end == '\0';
    if (is_radius && !(radius >= 0 && std::isfinite(radius)))
      throw usage_error("init=" + init + " is not allowed: init takes a file, or a number, 0 or more");
    if (is_radius)
      init_radius = radius;
    inits = read_contexts(is_radius ? "" : init, chains, id);
  }

  const std::string& output() const { return args["output"]["file"].value; }
  csv_writer csv() const { return open_csv(output(), args, model); }

  std::vector<csv_writer> chain_csvs(const std::string& path) const {
    std::vector<csv_writer> writers;
    writers.reserve(chains);
    for (const auto& file : chain_paths(path, chains, id))
      writers.push_back(open_csv(path.empty() ? "" : file, args, model));
    return writers;
  }
};

// ---- sample ----

inline std::vector<context> read_metrics(const run& job, bool dense) {
  const std::string& path = job.method["algorithm"]["metric_file"].value;
  if (!path.empty())
    return read_contexts(path, job.chains, job.id);
  const std::size_t n = job.model.num_params_r();
  auto unit =
      std::make_shared<stan::io::array_var_context>(dense ? services::util::create_unit_e_dense_inv_metric(n)
                                                          : services::util::create_unit_e_diag_inv_metric(n));
  return std::vector<context>(job.chains, unit);
}

inline std::vector<json_writer> open_metric_files(const run& job) {
  std::vector<json_writer> writers;
  writers.reserve(job.chains);
  for (const auto& path : chain_paths(job.output(), job.chains, job.id, "_metric", ".json"))
    writers.push_back(open_json(job.method["adapt"]["save_metric"].flag() ? path : "", job.args));
  return writers;
}

inline int sample_fixed(run& job) {
  if (!job.method["algorithm"].is("fixed_param"))
    job.logger.info("Model contains no parameters, running fixed_param sampler, no updates to Markov chain");
  auto samples = job.chain_csvs(job.output());
  auto diagnostics = job.chain_csvs(job.args["output"]["diagnostic_file"].value);
  return services::sample::fixed_param(
      job.model, job.chains, job.inits, job.seed, job.id, job.init_radius, job.method["num_samples"].whole(),
      job.method["thin"].whole(), job.refresh, job.interrupt, job.logger, job.silent, samples, diagnostics);
}

// The six services differ in their name and in which parts of one list of arguments they take.
#define BAYESDE_SERVICE(name) [](auto&&... all) { return services::sample::name(all...); }

inline int sample_nuts(run& job) {
  const argument &method = job.method, &hmc = method["algorithm"], &adapt = method["adapt"];
  auto metrics = read_metrics(job, hmc["metric"].is("dense_e"));
  auto samples = job.chain_csvs(job.output());
  auto diagnostics = job.chain_csvs(job.args["output"]["diagnostic_file"].value);
  auto metric_files = open_metric_files(job);

  const auto chains = std::tie(job.model, job.chains, job.inits);
  const auto metric = std::tie(metrics);
  const auto common = std::make_tuple(
      job.seed, job.id, job.init_radius, static_cast<int>(method["num_warmup"].whole()),
      static_cast<int>(method["num_samples"].whole()), static_cast<int>(method["thin"].whole()),
      method["save_warmup"].flag(), job.refresh, hmc["stepsize"].real(), hmc["stepsize_jitter"].real(),
      static_cast<int>(hmc["engine"]["max_depth"].whole()));
  const auto rates = std::make_tuple(adapt["delta"].real(), adapt["gamma"].real(), adapt["kappa"].real(),
                                     adapt["t0"].real());
  const auto windows = std::make_tuple(static_cast<unsigned int>(adapt["init_buffer"].whole()),
                                       static_cast<unsigned int>(adapt["term_buffer"].whole()),
                                       static_cast<unsigned int>(adapt["window"].whole()));
  const auto outputs = std::tie(job.interrupt, job.logger, job.silent, samples, diagnostics);
  const auto adapted = std::tuple_cat(outputs, std::tie(metric_files));

  const auto with = [](auto service, const auto&... parts) {
    return std::apply(service, std::tuple_cat(parts...));
  };
  const std::string& shape = hmc["metric"].value;
  if (adapt["engaged"].flag()) {
    if (shape == "unit_e")
      return with(BAYESDE_SERVICE(hmc_nuts_unit_e_adapt), chains, common, rates, adapted);
    if (shape == "diag_e")
      return with(BAYESDE_SERVICE(hmc_nuts_diag_e_adapt), chains, metric, common, rates, windows, adapted);
    return with(BAYESDE_SERVICE(hmc_nuts_dense_e_adapt), chains, metric, common, rates, windows, adapted);
  }
  if (shape == "unit_e")
    return with(BAYESDE_SERVICE(hmc_nuts_unit_e), chains, common, outputs);
  if (shape == "diag_e")
    return with(BAYESDE_SERVICE(hmc_nuts_diag_e), chains, metric, common, outputs);
  return with(BAYESDE_SERVICE(hmc_nuts_dense_e), chains, metric, common, outputs);
}
#undef BAYESDE_SERVICE

inline int sample(run& job) {
  if (job.method["algorithm"].is("fixed_param") || job.model.num_params_r() == 0)
    return sample_fixed(job);
  const argument& adapt = job.method["adapt"];
  if (adapt["engaged"].flag() && job.method["num_warmup"].whole() == 0)
    throw usage_error("num_warmup=0 is not allowed while adaptation is engaged; add adapt engaged=0");
  if (adapt["save_metric"].flag() && !adapt["engaged"].flag())
    throw usage_error("save_metric=1 is not allowed without adaptation; leave out engaged=0");
  return sample_nuts(job);
}

// ---- point estimates and approximations ----

template <bool jacobian>
int optimize(run& job) {
  auto out = job.csv();
  const argument &method = job.method, &algorithm = method["algorithm"];
  const int iterations = method["iter"].whole();
  const bool save = method["save_iterations"].flag();
  const auto& init = *job.inits[0];
  if (algorithm.is("newton"))
    return services::optimize::newton<model_t, jacobian>(job.model, init, job.seed, job.id, job.init_radius,
                                                         iterations, save, job.interrupt, job.logger,
                                                         job.silent[0], out);
  const auto tolerance = [&](const char* name) { return algorithm[name].real(); };
  if (algorithm.is("bfgs"))
    return services::optimize::bfgs<model_t, jacobian>(
        job.model, init, job.seed, job.id, job.init_radius, tolerance("init_alpha"), tolerance("tol_obj"),
        tolerance("tol_rel_obj"), tolerance("tol_grad"), tolerance("tol_rel_grad"), tolerance("tol_param"),
        iterations, save, job.refresh, job.interrupt, job.logger, job.silent[0], out);
  return services::optimize::lbfgs<model_t, jacobian>(
      job.model, init, job.seed, job.id, job.init_radius, algorithm["history_size"].whole(),
      tolerance("init_alpha"), tolerance("tol_obj"), tolerance("tol_rel_obj"), tolerance("tol_grad"),
      tolerance("tol_rel_grad"), tolerance("tol_param"), iterations, save, job.refresh, job.interrupt,
      job.logger, job.silent[0], out);
}

inline int pathfinder(run& job) {
  if (job.model.num_params_r() == 0)
    throw usage_error("pathfinder needs a model with parameters; this one has none");
  auto out = job.csv();
  const argument& method = job.method;
  const auto number = [&](const char* name) { return static_cast<int>(method[name].whole()); };
  const auto tolerance = [&](const char* name) { return method[name].real(); };
  const bool save = method["save_single_paths"].flag(), calculate_lp = method["calculate_lp"].flag();
  json_writer diagnostics = open_json(
      save && job.chains == 1 ? chain_paths(job.output(), 1, job.id, "", ".json")[0] : "", job.args);
  if (job.chains == 1)
    return services::pathfinder::pathfinder_lbfgs_single(
        job.model, *job.inits[0], job.seed, job.id, job.init_radius, number("history_size"),
        tolerance("init_alpha"), tolerance("tol_obj"), tolerance("tol_rel_obj"), tolerance("tol_grad"),
        tolerance("tol_rel_grad"), tolerance("tol_param"), number("max_lbfgs_iters"),
        number("num_elbo_draws"), number("num_draws"), save, job.refresh, job.interrupt, job.logger,
        job.silent[0], out, diagnostics, calculate_lp);
  std::vector<csv_writer> path_draws;
  std::vector<json_writer> path_diagnostics;
  const auto draw_files = chain_paths(job.output(), job.chains, job.id, "_path");
  const auto diagnostic_files = chain_paths(job.output(), job.chains, job.id, "_path", ".json");
  for (std::size_t i = 0; i < job.chains; ++i) {
    path_draws.push_back(open_csv(save ? draw_files[i] : "", job.args, job.model));
    path_diagnostics.push_back(open_json(save ? diagnostic_files[i] : "", job.args));
  }
  return services::pathfinder::pathfinder_lbfgs_multi(
      job.model, job.inits, job.seed, job.id, job.init_radius, number("history_size"),
      tolerance("init_alpha"), tolerance("tol_obj"), tolerance("tol_rel_obj"), tolerance("tol_grad"),
      tolerance("tol_rel_grad"), tolerance("tol_param"), number("max_lbfgs_iters"), number("num_elbo_draws"),
      number("num_draws"), number("num_psis_draws"), number("num_paths"), save, job.refresh, job.interrupt,
      job.logger, job.silent, path_draws, path_diagnostics, out, diagnostics, calculate_lp,
      method["psis_resample"].flag());
}

inline int variational(run& job) {
  auto out = job.csv();
  auto diagnostics = open_csv(job.args["output"]["diagnostic_file"].value, job.args, job.model);
  const argument& method = job.method;
  const auto number = [&](const char* name) { return static_cast<int>(method[name].whole()); };
  const auto with = [&](auto service) {
    return service(job.model, *job.inits[0], job.seed, job.id, job.init_radius, number("grad_samples"),
                   number("elbo_samples"), number("iter"), method["tol_rel_obj"].real(), method["eta"].real(),
                   method["adapt"]["engaged"].flag(), static_cast<int>(method["adapt"]["iter"].whole()),
                   number("eval_elbo"), number("output_samples"), job.interrupt, job.logger, job.silent[0],
                   out, diagnostics);
  };
  if (method["algorithm"].is("fullrank"))
    return with([](auto&&... all) { return services::experimental::advi::fullrank(all...); });
  return with([](auto&&... all) { return services::experimental::advi::meanfield(all...); });
}

// ---- at given parameters ----

// Unconstrained parameters from a JSON file of constrained ones.
inline std::vector<double> unconstrain_context(run& job, const std::string& path) {
  std::vector<double> unconstrained;
  std::vector<int> no_integers;
  std::stringstream messages;
  job.model.transform_inits(*read_context(path), no_integers, unconstrained, &messages);
  return unconstrained;
}

// Unconstrained parameters of every draw in a CSV file.
inline std::vector<std::vector<double>> unconstrain_draws(run& job, const std::string& path) {
  const Eigen::MatrixXd draws = read_draws(path, job.model);
  std::vector<std::vector<double>> all(draws.rows());
  for (Eigen::Index i = 0; i < draws.rows(); ++i) {
    const Eigen::VectorXd draw = draws.row(i);
    job.model.unconstrain_array(std::vector<double>(draw.data(), draw.data() + draw.size()), all[i],
                                &std::cout);
  }
  return all;
}

inline std::vector<std::vector<double>> unconstrain_file(run& job, const std::string& path) {
  if (split_suffix(path).second == ".csv")
    return unconstrain_draws(job, path);
  return {unconstrain_context(job, path)};
}

template <bool jacobian>
int laplace(run& job) {
  const std::string& path = job.method["mode"].value;
  if (path.empty())
    throw usage_error("laplace needs mode=FILE, the CSV of an optimization or a JSON of parameters");
  const std::vector<double> mode = unconstrain_file(job, path).back();
  const Eigen::VectorXd center = Eigen::Map<const Eigen::VectorXd>(mode.data(), mode.size());
  auto out = job.csv();
  stan::callbacks::structured_writer no_hessian;
  return services::laplace_sample<jacobian>(job.model, center, job.method["draws"].whole(),
                                            job.method["calculate_lp"].flag(), job.seed, job.refresh,
                                            job.interrupt, job.logger, out, no_hessian);
}

inline int generate_quantities(run& job) {
  const std::string& path = job.method["fitted_params"].value;
  if (path.empty())
    throw usage_error("generate_quantities needs fitted_params=FILE, the CSV of an earlier run");
  std::vector<Eigen::MatrixXd> draws;
  for (const auto& file : chain_paths(path, job.chains, job.id))
    draws.push_back(read_draws(file, job.model));
  auto outputs = job.chain_csvs(job.output());
  return services::standalone_generate(job.model, static_cast<int>(job.chains), draws, job.seed,
                                       job.interrupt, job.logger, outputs);
}

inline std::vector<std::vector<double>> log_prob_points(run& job) {
  const std::string &given = job.method["unconstrained_params"].value,
                    &natural = job.method["constrained_params"].value;
  if (given.empty() == natural.empty())
    throw usage_error("log_prob needs one of constrained_params=FILE and unconstrained_params=FILE");
  if (given.empty())
    return unconstrain_file(job, natural);
  const std::vector<double> point = read_context(given)->vals_r("params_r");
  if (point.size() != job.model.num_params_r())
    throw usage_error("'params_r' in file '" + given + "' has " + std::to_string(point.size())
                      + " values; the model has " + std::to_string(job.model.num_params_r()) + " parameters");
  return {point};
}

inline int log_prob(run& job) {
  const auto points = log_prob_points(job);
  auto out = job.csv();
  std::vector<std::string> names, header{"lp__"};
  job.model.unconstrained_param_names(names, false, false);
  for (const auto& name : names)
    header.push_back("g_" + name);
  out(header);
  for (auto point : points) {
    std::vector<int> no_integers;
    std::vector<double> row;
    const double lp =
        job.method["jacobian"].flag()
            ? stan::model::log_prob_grad<true, true>(job.model, point, no_integers, row, &std::cout)
            : stan::model::log_prob_grad<true, false>(job.model, point, no_integers, row, &std::cout);
    row.insert(row.begin(), lp);
    out(row);
  }
  return services::error_codes::OK;
}

inline int diagnose(run& job) {
  auto out = job.csv();
  const argument& test = job.method["test"];
  return services::diagnose::diagnose(job.model, *job.inits[0], job.seed, job.id, job.init_radius,
                                      test["epsilon"].real(), test["error"].real(), job.interrupt, job.logger,
                                      job.silent[0], out);
}

inline int dispatch(run& job) {
  const std::string& method = job.method.value;
  if (method == "sample")
    return sample(job);
  if (method == "optimize")
    return job.method["jacobian"].flag() ? optimize<true>(job) : optimize<false>(job);
  if (method == "pathfinder")
    return pathfinder(job);
  if (method == "variational")
    return variational(job);
  if (method == "laplace")
    return job.method["jacobian"].flag() ? laplace<true>(job) : laplace<false>(job);
  if (method == "generate_quantities")
    return generate_quantities(job);
  if (method == "log_prob")
    return log_prob(job);
  return diagnose(job);
}

}  // namespace bayesde
#endif
