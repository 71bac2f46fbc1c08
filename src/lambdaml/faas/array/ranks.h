#pragma once

namespace lambdaml::faas::array {

/// The variables in which batch systems tell a task its rank: any, Kubernetes, Cloud Run jobs, AWS
/// Batch, Slurm's array jobs, Slurm's srun.
inline constexpr const char* kRankVariables[] = {
    "LAMBDAML_TASK_INDEX",       "JOB_COMPLETION_INDEX", "CLOUD_RUN_TASK_INDEX",
    "AWS_BATCH_JOB_ARRAY_INDEX", "SLURM_ARRAY_TASK_ID",  "SLURM_PROCID"};

}  // namespace lambdaml::faas::array
