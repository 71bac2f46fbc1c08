#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/output.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/programs/command.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/report/document.h"
#include "lambdaml/report/page.h"

namespace lambdaml::cli {
namespace {

struct ReportArguments {
  std::vector<std::string> places;
  std::string out = "report.html";
  std::string trace;
  bool open = false, no_data = false;
  report::Request request;
};

/// Asks the desktop to show the page. The browser may outlive this command.
void open_in_browser(const std::string& path) {
  constexpr double kSeconds = 10;
  const CommandResult result =
      run_command(fmt::format("command -v xdg-open && (setsid xdg-open {} >/dev/null 2>&1 &)",
                              quoted_for_shell(path)),
                  kSeconds, 4096, "opening " + path);
  if (!result.succeeded())
    tell_line(fmt::format("opening {}: there is no xdg-open here; open it in a browser", path));
}

std::string output_name(const std::string& place) {
  return place == "-" ? "standard output" : Uri::parse(place).display();
}

void report_on(const ReportArguments& arguments, const Globals& globals) {
  // Nothing is written unless everything can be made.
  const std::string trace =
      arguments.trace.empty() ? "" : report::trace_of(arguments.places.front());
  const std::string page =
      report::page_of(report::document_of(arguments.places, arguments.request));
  if (!arguments.trace.empty()) write_output(arguments.trace, as_bytes(trace));
  write_output(arguments.out, as_bytes(page));
  if (arguments.out == "-") return;
  const std::string path = Uri::parse(arguments.out).display();
  if (globals.json)
    print_json(json_text(nlohmann::json{{"path", path}, {"bytes", page.size()}}));
  else
    print_line(fmt::format("report    {} ({})", path, human_bytes(page.size())));
  if (arguments.open) open_in_browser(path);
}

}  // namespace

void add_report_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "report",
                                  "one HTML page that shows runs and searches: curves, time, cost");
  const auto arguments = std::make_shared<ReportArguments>();
  ReportArguments& a = *arguments;
  command
      ->add_option("RUN", a.places,
                   "folders of runs or searches, CHECKPOINT-URI/JOB-ID, or the URI of a search's "
                   "records; several are compared")
      ->required();
  command->add_option("-o,--out", a.out, "the page; - is standard output [report.html]");
  command->add_flag("--open", a.open, "show it in the browser");
  CLI::Option* data = command->add_option(
      "--data", a.request.data,
      "labelled rows to measure the models with [the run's test data, if they are here]");
  command->add_flag("--no-data", a.no_data, "read no data: no confusion matrix, no ROC curve")
      ->excludes(data);
  command->add_option("--trace", a.trace,
                      "also write when the run's workers did what, in the Chrome trace event "
                      "format, which Perfetto opens");
  command->callback([arguments, &globals] {
    if (!arguments->trace.empty() && arguments->places.size() > 1)
      fail(Code::invalid_argument, "--trace is of one run, and {} are given",
           arguments->places.size());
    if (arguments->open && arguments->out == "-")
      fail(Code::invalid_argument, "--open shows a file, and -o - makes none");
    if (!arguments->trace.empty() && output_name(arguments->trace) == output_name(arguments->out))
      fail(Code::invalid_argument, "--trace and -o name the same place, {}",
           output_name(arguments->out));
    arguments->request.measures = !arguments->no_data;
    report_on(*arguments, globals);
  });
}

}  // namespace lambdaml::cli
