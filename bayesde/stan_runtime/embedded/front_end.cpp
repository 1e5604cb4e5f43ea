// The main program linked to every Stan model: arguments in, one of Stan's services, files out.
//
// It understands the arguments that cmdstanpy passes and writes the files that cmdstanpy reads. The meaning
// of the arguments is that of the CmdStan guide, https://mc-stan.org/docs/cmdstan-guide/.
#include <chrono>
#include <exception>
#include <iostream>
#include <string>

#include "command_line.hpp"
#include "methods.hpp"

// Defined by the C++ that stanc writes for a program.
stan::model::model_base& new_model(stan::io::var_context& data, unsigned int seed, std::ostream* messages);
stan::math::profile_map& get_stan_profile_data();

namespace bayesde {

#ifdef STAN_THREADS
constexpr bool has_threads = true;
#else
constexpr bool has_threads = false;
#endif

int info() {
  std::cout << "stan_version_major = " << stan::MAJOR_VERSION
            << "\nstan_version_minor = " << stan::MINOR_VERSION
            << "\nstan_version_patch = " << stan::PATCH_VERSION
            << "\nSTAN_THREADS=" << (has_threads ? "true" : "false")
            << "\nSTAN_MPI=false\nSTAN_OPENCL=false\nSTAN_NO_RANGE_CHECKS=false\nSTAN_CPP_OPTIMS=false\n";
  return services::error_codes::OK;
}

void start_threads(const argument& args) {
  const long long threads = args["num_threads"].whole();
  if (threads == 0)
    throw usage_error(
        "num_threads=0 is not allowed: num_threads takes a positive whole number, or -1 for all");
  if (threads != 1 && !has_threads)
    throw usage_error("num_threads=" + args["num_threads"].value
                      + " is not allowed: the program was compiled without STAN_THREADS");
  stan::math::init_threadpool_tbb(threads);
}

std::size_t count_chains(const argument& method) {
  if (method.is("sample") || method.is("generate_quantities"))
    return method["num_chains"].whole();
  return method.is("pathfinder") ? method["num_paths"].whole() : 1;
}

int run_method(const argument& args) {
  start_threads(args);
  const unsigned int seed = args["random"]["seed"].whole();
  model_t& model = new_model(*read_context(args["data"]["file"].value), seed, &std::cout);
  run job(model, args, count_chains(args["method"]));
  print_comments(args, std::cout);  // the transcript says what was run
  if (args["output"]["save_cmdstan_config"].flag())
    write_config(args, model);
  const int code = dispatch(job);
  const auto& profiles = get_stan_profile_data();
  if (!profiles.empty())
    write_profile(args["output"]["profile_file"].value, profiles, args["output"]["sig_figs"].whole());
  return code;
}

int start(const words& given) {
  if (given.size() == 1 && given[0] == "info")
    return info();
  const auto clock = std::chrono::system_clock::now().time_since_epoch().count();
  argument args = command_line(std::to_string(static_cast<unsigned int>(clock)),
                               std::to_string(stan::math::internal::get_num_threads()));
  parse(args, given);
  return run_method(args);
}

}  // namespace bayesde

int main(int argc, char* argv[]) {
  try {
    return bayesde::start(bayesde::words(argv + 1, argv + argc));
  } catch (const bayesde::usage_error& e) {
    std::cerr << "Error: " << e.what() << std::endl;
    return stan::services::error_codes::USAGE;
  } catch (const std::exception& e) {
    std::cerr << "Error: " << e.what() << std::endl;
    return stan::services::error_codes::SOFTWARE;
  }
}
