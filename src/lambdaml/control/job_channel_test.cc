#include "lambdaml/control/job_channel.h"

#include <thread>

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/stores.h"

namespace lambdaml::control {
namespace {

TEST(JobChannel, AnInterruptedJobLeavesNothingThatIsSavedLate) {
  const Scratch folder("lambdaml-channel-");
  const std::string uri = folder.path().string() + "?watch=poll";  // as other machines reach it
  Stores stores;
  const auto service = stores.open_channel(uri, "job-1");
  Cancellation cancellation;
  std::thread late;
  {
    const Cancellation::Scope scope(&cancellation);
    JobChannel channel(stores, uri, "job-1", false, JobChannel::Stop::patient);
    EXPECT_THROW(channel.use([&] {
      channel.store().save(keys::kJob, as_bytes("job"));
      // A service that does what was sent to it when the channel has been cleared.
      late = std::thread([&] {
        while (service->load(keys::kJob)) std::this_thread::yield();
        service->save("data/0_3", as_bytes("rows"));
      });
      cancellation.cancel();
      throw_if_interrupted();
      return 0;
    }),
                 Error);
  }
  late.join();
  EXPECT_TRUE(service->list("").empty());
}

}  // namespace
}  // namespace lambdaml::control
