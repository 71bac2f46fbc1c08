#include "lambdaml/job/given.h"

#include "lambdaml/job/job.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/job/unused_options.h"

namespace lambdaml::job {

Options unresolved_options_of(const Given& given) {
  Options options = job_options();
  if (given.text)
    read_job_text(*given.text, "the job", options, given.section);
  else if (!given.file.empty())
    read_job_file(given.file, options, given.section);
  read_environment(options);
  for (const Option& option : given.typed.declared())
    if (given.typed.is_set(option.name))
      options.set(option.name, given.typed.value(option.name), flag_of(option.name));
  return options;
}

Options options_of(const Given& given) {
  Options options = unresolved_options_of(given);
  require_used(options, given.typed);
  resolve(options);
  warn_of_unused(options, given.typed);
  return options;
}

}  // namespace lambdaml::job
