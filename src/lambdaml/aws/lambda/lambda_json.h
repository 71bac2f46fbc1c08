#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/lambda/lambda_function.h"
#include "lambdaml/aws/message.h"
#include "lambdaml/base/error.h"

/// The JSON, the errors and the base64 of the AWS Lambda service API.
namespace lambdaml::aws {

/// An error answer.
struct LambdaProblem {
  std::string type;          ///< "ResourceNotFoundException"; empty when the answer is not Lambda's
  std::string message;       ///< one line
  double retry_after_s = 0;  ///< throttled: the time to wait
};
LambdaProblem problem_of(const aws::Response& answer);
/// The error code of this project for a problem.
Code code_of_problem(const LambdaProblem& problem, int status);
bool is_throttled(const aws::Response& answer);
bool is_conflict(const aws::Response& answer);

/// Bodies of requests.
std::string create_body(const std::string& name, const FunctionSettings& settings,
                        const FunctionCode& code, const std::map<std::string, std::string>& tags);
std::string settings_body(const FunctionSettings& settings);
std::string code_body(const FunctionCode& code);
std::string event_config_body(const EventInvokeConfig& config);
std::string tags_body(const std::map<std::string, std::string>& tags);
std::string concurrency_body(int reserved);
std::string permission_body(const std::string& statement, const std::string& service,
                            const std::string& source_arn);

/// Parse answers; throw data_corrupt for invalid ones.
FunctionDescription parse_configuration(std::string_view body);
FunctionDescription parse_function(std::string_view body);
/// Appends a page of a listing; returns the marker of the next page, empty after the last.
std::string parse_page(std::string_view body, std::vector<FunctionDescription>& out);
AccountSettings parse_account(std::string_view body);
EventInvokeConfig parse_event_config(std::string_view body);
std::optional<int> parse_concurrency(std::string_view body);
/// "errorType" and "errorMessage" of what a failed function returned, each one line.
LambdaProblem parse_function_error(std::string_view payload, std::string_view kind);

/// The value of the service's CodeSha256: base64 of the SHA-256. About 0.6 ms per MB.
std::string code_sha256(Bytes bytes);

}  // namespace lambdaml::aws
