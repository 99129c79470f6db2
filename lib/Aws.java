import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Supplier;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.awscore.AwsResponse;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.awscore.client.builder.AwsSyncClientBuilder;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.regions.providers.DefaultAwsRegionProviderChain;
import software.amazon.awssdk.services.amplify.AmplifyClient;
import software.amazon.awssdk.services.amplify.model.ListBranchesResponse;
import software.amazon.awssdk.services.ssm.SsmClient;

/**
 * Reads from AWS, and only reads: the Neon API key from an SSM parameter, and the branches of an Amplify app. Says nothing of what an
 * answer holds: Amplify's carry environment variables and passwords.
 */
final class Aws {

    /** An Amplify branch; a pull request's preview also names the branch that it was opened from, any other has null there. */
    record AmplifyBranch(String name, String sourceBranch) {
    }

    private final Region region;
    private final Instant deadline;
    private final Consumer<String> verbose;
    private final DefaultCredentialsProvider credentials = DefaultCredentialsProvider.builder().build();

    /**
     * Opens nothing yet.
     *
     * @param region the AWS region, or null for what the SDK finds in the user's profile or the machine's metadata
     * @param deadline when to give up
     * @param verbose takes one line per request
     * @throws Failure if there is no region
     */
    Aws(String region, Instant deadline, Consumer<String> verbose) {
        this.region = region == null ? regionOfProfile() : Region.of(region);
        this.deadline = deadline;
        this.verbose = verbose;
    }

    private static Region regionOfProfile() {
        try {
            return DefaultAwsRegionProviderChain.builder().build().getRegion();
        } catch (SdkException e) {
            // The SDK's own text lists its chain of providers, several hundred characters of it.
            throw new Failure("No AWS region is set: name it with --region or AWS_REGION.", e);
        }
    }

    /**
     * Returns the value of an SSM parameter, decrypted.
     *
     * @param name a name, {@code name:version} or ARN
     * @throws Failure if there is no such parameter, it may not be read, or SSM cannot be reached
     */
    Secret parameter(String name) {
        String what = "read SSM parameter " + name + " in region " + region;
        requireCredentials(what);
        try (SsmClient ssm = client(SsmClient.builder())) {
            return new Secret(call("SSM GetParameter", () -> ssm.getParameter(request -> request.name(name).withDecryption(true)))
                    .parameter().value());
        } catch (SdkException e) {
            throw failure(what, e, switch (errorCode(e)) {
                case "ParameterNotFound", "ParameterVersionNotFound" -> "check --api-key-param and --region, or make it with"
                        + " 'aws ssm put-parameter --type SecureString --name ... --value ...'";
                case "AccessDeniedException" -> "allow ssm:GetParameter on arn:aws:ssm:" + region
                        + ":ACCOUNT:parameter/" + name.replaceFirst("^/", "") + " in the Amplify app's service role";
                case "ValidationException" -> "check --api-key-param";
                default -> "run again later";
            });
        }
    }

    /**
     * Returns every branch of an Amplify app, all pages of the list.
     *
     * @throws Failure if there is no such app, its branches may not be listed, or a page cannot be read
     */
    List<AmplifyBranch> branches(String appId) {
        String what = "list the branches of Amplify app " + appId + " in region " + region;
        requireCredentials(what);
        List<AmplifyBranch> branches = new ArrayList<>();
        try (AmplifyClient amplify = client(AmplifyClient.builder())) {
            Set<String> tokens = new HashSet<>();
            String token = null;
            do {
                String page = token;
                ListBranchesResponse answer = call("Amplify ListBranches",
                        () -> amplify.listBranches(request -> request.appId(appId).maxResults(50).nextToken(page)));
                answer.branches().forEach(branch -> branches.add(new AmplifyBranch(branch.branchName(), branch.sourceBranch())));
                token = answer.nextToken();
                if (token != null && !tokens.add(token)) {
                    throw new Failure("Could not " + what + ": its pages go round in a circle; run again later.");
                }
            } while (token != null);
        } catch (SdkException e) {
            throw failure(what, e, switch (errorCode(e)) {
                case "NotFoundException" -> "check --app-id and --region";
                case "AccessDeniedException", "UnauthorizedException" -> "allow amplify:ListBranches on arn:aws:amplify:" + region
                        + ":ACCOUNT:apps/" + appId + "/* in the Amplify app's service role";
                default -> "run again later";
            });
        }
        return branches;
    }

    /** With no credentials the SDK's own text lists its chain of providers, over a thousand characters of it. */
    private void requireCredentials(String what) {
        try {
            credentials.resolveCredentials();
        } catch (SdkException e) {
            throw new Failure("Could not " + what + ": there are no AWS credentials; in Amplify give the app a service role, elsewhere"
                    + " sign in and run 'eval \"$(aws configure export-credentials --format env)\"'.", e);
        }
    }

    private <B extends AwsSyncClientBuilder<B, C> & AwsClientBuilder<B, C>, C> C client(B builder) {
        Duration left = Duration.between(Instant.now(), deadline);
        return builder.region(region)
                .credentialsProvider(credentials)
                .httpClient(UrlConnectionHttpClient.create())
                .overrideConfiguration(configuration -> configuration
                        .apiCallTimeout(left.compareTo(Duration.ofSeconds(1)) > 0 ? left : Duration.ofSeconds(1))
                        .apiCallAttemptTimeout(Duration.ofSeconds(10)))
                .build();
    }

    private <R extends AwsResponse> R call(String operation, Supplier<R> request) {
        long start = System.nanoTime();
        try {
            R answer = request.get();
            log(operation, answer.sdkHttpResponse().statusCode(), start, answer.responseMetadata().requestId());
            return answer;
        } catch (AwsServiceException e) {
            log(operation, e.statusCode(), start, e.requestId());
            throw e;
        }
    }

    private void log(String operation, int status, long startNanos, String requestId) {
        verbose.accept(operation + " " + status + " " + (System.nanoTime() - startNanos) / 1_000_000 + " ms " + requestId);
    }

    private static String errorCode(SdkException e) {
        return e instanceof AwsServiceException service && service.awsErrorDetails() != null
                && service.awsErrorDetails().errorCode() != null ? service.awsErrorDetails().errorCode() : "";
    }

    private static Failure failure(String what, SdkException e, String advice) {
        String reason = e instanceof AwsServiceException service
                ? (errorCode(e).isEmpty() ? "AWS answered " + service.statusCode() : errorCode(e)) + " (request " + service.requestId() + ")"
                : "no answer from AWS";
        return new Failure("Could not " + what + ": " + reason + "; " + advice + ".", e);
    }
}
