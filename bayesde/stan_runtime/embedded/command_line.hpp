// The arguments this program knows, with CmdStan's names and defaults.
#ifndef BAYESDE_COMMAND_LINE_HPP
#define BAYESDE_COMMAND_LINE_HPP

#include <limits>
#include <string>
#include <vector>

#include "arguments.hpp"

namespace bayesde {

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr range not_negative{0, infinite, false};
constexpr range positive_whole{1, 2147483647, false};
constexpr range whole_or_zero{0, 2147483647, false};
constexpr range positive{0, infinite, true};

inline argument adapt_arguments() {
  return group("adapt",
               {flag("engaged", "1"), real("gamma", "0.05", positive), real("delta", "0.8", {0, 1, true}),
                real("kappa", "0.75", positive), real("t0", "10", positive),
                whole("init_buffer", "75", whole_or_zero), whole("term_buffer", "50", whole_or_zero),
                whole("window", "25", whole_or_zero), flag("save_metric", "0")});
}

inline argument hmc_arguments() {
  return group("hmc",
               {choice("engine", "nuts", {group("nuts", {whole("max_depth", "10", positive_whole)})}),
                choice("metric", "diag_e", {group("unit_e", {}), group("diag_e", {}), group("dense_e", {})}),
                text("metric_file", ""), real("stepsize", "1", positive),
                real("stepsize_jitter", "0", {0, 1, false})});
}

inline argument sample_arguments() {
  return group("sample",
               {whole("num_samples", "1000", whole_or_zero), whole("num_warmup", "1000", whole_or_zero),
                flag("save_warmup", "0"), whole("thin", "1", positive_whole), adapt_arguments(),
                choice("algorithm", "hmc", {hmc_arguments(), group("fixed_param", {})}),
                whole("num_chains", "1", positive_whole)});
}

inline std::vector<argument> line_search_arguments() {
  return {real("init_alpha", "0.001", positive),       real("tol_obj", "1e-12", not_negative),
          real("tol_rel_obj", "10000", not_negative),  real("tol_grad", "1e-08", not_negative),
          real("tol_rel_grad", "1e+07", not_negative), real("tol_param", "1e-08", not_negative)};
}

inline std::vector<argument> limited_memory_arguments() {
  auto members = line_search_arguments();
  members.push_back(whole("history_size", "5", positive_whole));
  return members;
}

inline argument optimize_arguments() {
  return group("optimize",
               {choice("algorithm", "lbfgs",
                       {group("bfgs", line_search_arguments()), group("lbfgs", limited_memory_arguments()),
                        group("newton", {})}),
                flag("jacobian", "0"), whole("iter", "2000", positive_whole), flag("save_iterations", "0")});
}

inline argument pathfinder_arguments() {
  auto members = limited_memory_arguments();
  for (auto& member :
       {whole("num_psis_draws", "1000", positive_whole), whole("num_paths", "4", positive_whole),
        flag("save_single_paths", "0"), flag("psis_resample", "1"), flag("calculate_lp", "1"),
        whole("max_lbfgs_iters", "1000", positive_whole), whole("num_draws", "1000", positive_whole),
        whole("num_elbo_draws", "25", positive_whole)})
    members.push_back(member);
  return group("pathfinder", members);
}

inline argument variational_arguments() {
  return group("variational",
               {choice("algorithm", "meanfield", {group("meanfield", {}), group("fullrank", {})}),
                whole("iter", "10000", positive_whole), whole("grad_samples", "1", positive_whole),
                whole("elbo_samples", "100", positive_whole), real("eta", "1", positive),
                group("adapt", {flag("engaged", "1"), whole("iter", "50", positive_whole)}),
                real("tol_rel_obj", "0.01", positive), whole("eval_elbo", "100", positive_whole),
                whole("output_samples", "1000", positive_whole)});
}

inline argument laplace_arguments() {
  return group("laplace", {text("mode", ""), flag("jacobian", "1"), whole("draws", "1000", positive_whole),
                           flag("calculate_lp", "1")});
}

inline argument generate_quantities_arguments() {
  return group("generate_quantities", {text("fitted_params", ""), whole("num_chains", "1", positive_whole)});
}

inline argument log_prob_arguments() {
  return group("log_prob",
               {text("unconstrained_params", ""), text("constrained_params", ""), flag("jacobian", "1")});
}

inline argument diagnose_arguments() {
  return group(
      "diagnose",
      {choice("test", "gradient",
              {group("gradient", {real("epsilon", "1e-06", positive), real("error", "1e-06", positive)})})});
}

inline argument output_arguments() {
  return group("output", {text("file", "output.csv"), text("diagnostic_file", ""),
                          whole("refresh", "100", whole_or_zero), whole("sig_figs", "-1", {-1, 18, false}),
                          text("profile_file", "profile.csv"), flag("save_cmdstan_config", "0")});
}

// `seed` and `threads` are what is used when none is given.
inline argument command_line(const std::string& seed, const std::string& threads) {
  return group("", {choice("method", "sample",
                           {sample_arguments(), optimize_arguments(), variational_arguments(),
                            diagnose_arguments(), generate_quantities_arguments(), pathfinder_arguments(),
                            log_prob_arguments(), laplace_arguments()}),
                    whole("id", "1", whole_or_zero), group("data", {text("file", "")}), text("init", "2"),
                    group("random", {whole("seed", seed, {0, 4294967295., false})}), output_arguments(),
                    whole("num_threads", threads, {-1, 2147483647, false})});
}

}  // namespace bayesde
#endif
