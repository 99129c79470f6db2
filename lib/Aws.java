import java.io.ByteArrayInputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.awscore.client.builder.AwsSyncClientBuilder;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.awscore.retry.AwsRetryStrategy;
import software.amazon.awssdk.core.exception.SdkClientException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.core.metrics.CoreMetric;
import software.amazon.awssdk.http.AbortableInputStream;
import software.amazon.awssdk.http.ExecutableHttpRequest;
import software.amazon.awssdk.http.HttpExecuteRequest;
import software.amazon.awssdk.http.HttpExecuteResponse;
import software.amazon.awssdk.http.HttpMetric;
import software.amazon.awssdk.http.SdkHttpClient;
import software.amazon.awssdk.http.SdkHttpResponse;
import software.amazon.awssdk.metrics.MetricCollection;
import software.amazon.awssdk.metrics.MetricPublisher;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.regions.providers.DefaultAwsRegionProviderChain;
import software.amazon.awssdk.retries.StandardRetryStrategy;
import software.amazon.awssdk.services.amplify.AmplifyClient;
import software.amazon.awssdk.services.amplify.model.ListBranchesResponse;
import software.amazon.awssdk.services.ssm.SsmClient;
import software.amazon.awssdk.services.ssm.model.Parameter;

/**
 * Reads from AWS, and only reads: the Neon API key from an SSM parameter, and the branches of an Amplify app. Says nothing of what an
 * answer holds: Amplify's carry environment variables and passwords.
 */
final class Aws {

    /** An Amplify branch; a pull request's preview also names the branch that it was opened from, any other has null there. */
    record AmplifyBranch(String name, String sourceBranch) {
    }

    /** The SDK's clients by themselves make three or four, whose random pauses may be over in a tenth of a second; six outlast a short outage. */
    private static final int TRIES = 6;
    private static final Duration LONGEST_EXCHANGE = Duration.ofSeconds(10);

    private final Region region;
    private final UnaryOperator<String> environment;
    private final Deadline deadline;
    private final Consumer<String> verbose;
    private final DefaultCredentialsProvider credentials = DefaultCredentialsProvider.builder().build();

    /**
     * Opens nothing yet.
     *
     * @param region the AWS region, or null for what the SDK finds in the user's profile or the machine's metadata
     * @param environment gives a variable's value, or null when it is not set
     * @param deadline when to give up
     * @param verbose takes one line per request; null for none
     * @throws Failure if there is no region
     */
    Aws(String region, UnaryOperator<String> environment, Deadline deadline, Consumer<String> verbose) {
        this.region = region == null ? regionOfProfile() : Region.of(region);
        this.environment = environment;
        this.deadline = deadline;
        this.verbose = verbose;
    }

    /** Reads a parameter that nobody sends, so that the SDK's thousand classes are loaded while others are at work. */
    static void warmUpParameter() {
        try (SsmClient ssm = unsent(SsmClient.builder()).build()) {
            ssm.getParameter(request -> request.name("none"));
        }
    }

    /** Likewise for the list of branches. */
    static void warmUpBranches() {
        try (AmplifyClient amplify = unsent(AmplifyClient.builder()).build()) {
            amplify.listBranches(request -> request.appId("none"));
        }
    }

    private static <B extends AwsClientBuilder<B, C> & AwsSyncClientBuilder<B, C>, C> B unsent(B builder) {
        return builder.region(Region.US_EAST_1).httpClient(new Nobody())
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("none", "none")));
    }

    /** Sends nothing, and is answered. */
    private static final class Nobody implements SdkHttpClient, ExecutableHttpRequest {

        @Override
        public ExecutableHttpRequest prepareRequest(HttpExecuteRequest request) {
            return this;
        }

        @Override
        public HttpExecuteResponse call() {
            return HttpExecuteResponse.builder().response(SdkHttpResponse.builder().statusCode(200).build())
                    .responseBody(AbortableInputStream.create(new ByteArrayInputStream("{}".getBytes(StandardCharsets.UTF_8)))).build();
        }

        @Override
        public void abort() {
        }

        @Override
        public void close() {
        }
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
        try (SsmClient ssm = configure(SsmClient.builder(), "SSM").build()) {
            Parameter parameter = ssm.getParameter(request -> request.name(name).withDecryption(true)).parameter();
            if (parameter == null || parameter.value() == null) {
                throw new Failure("Could not " + what + ": AWS's answer holds none; run again later.");
            }
            return new Secret(parameter.value());
        } catch (SdkException e) {
            throw failure(what, e, switch (code(e)) {
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
        Set<String> tokens = new HashSet<>();
        try (AmplifyClient amplify = configure(AmplifyClient.builder(), "AMPLIFY").build()) {
            for (String token = null; token == null || !token.isEmpty(); ) {
                String next = token;
                ListBranchesResponse page = amplify.listBranches(request -> request.appId(appId).maxResults(50).nextToken(next));
                // The SDK would take a page without a list for an empty one, and a clean-up all branches for orphans.
                if (!page.hasBranches()) {
                    throw new Failure("Could not " + what + ": AWS's answer holds no list; run again later.");
                }
                if (page.branches().stream().anyMatch(branch -> branch.branchName() == null || branch.branchName().isBlank())) {
                    throw new Failure("Could not " + what + ": AWS's answer holds a branch without a name; run again later.");
                }
                page.branches().forEach(branch -> branches.add(new AmplifyBranch(branch.branchName(), branch.sourceBranch())));
                token = page.nextToken() == null ? "" : page.nextToken();
                if (!token.isEmpty() && !tokens.add(token)) {
                    throw new Failure("Could not " + what + ": its pages go round in a circle; run again later.");
                }
            }
        } catch (SdkException e) {
            String arn = "arn:aws:amplify:" + region + ":ACCOUNT:apps/" + appId;
            throw failure(what, e, switch (code(e)) {
                case "NotFoundException" -> "check --app-id and --region";
                case "AccessDeniedException", "UnauthorizedException" -> "allow amplify:ListBranches on " + arn + " and " + arn
                        + "/branches/* in the Amplify app's service role";
                default -> "run again later";
            });
        }
        return branches;
    }

    private <B extends AwsClientBuilder<B, C> & AwsSyncClientBuilder<B, C>, C> B configure(B builder, String service) {
        StandardRetryStrategy retries = AwsRetryStrategy.standardRetryStrategy().toBuilder().maxAttempts(TRIES)
                // A read whose answer was cut off, made by a proxy, or lost behind one may be made again.
                .retryOnException(e -> e instanceof SdkClientException || e instanceof AwsServiceException answer && answer.statusCode() >= 500)
                .build();
        builder.region(region).credentialsProvider(credentials).httpClient(Http.client(deadline, LONGEST_EXCHANGE)).overrideConfiguration(configuration -> configuration
                .retryStrategy(retries)
                // Without a publisher nothing is measured, which saves some time.
                .metricPublishers(verbose == null ? List.of() : List.of(new Log()))
                .apiCallTimeout(deadline.limit(Duration.ofDays(1)).multipliedBy(2))
                .apiCallAttemptTimeout(deadline.limit(LONGEST_EXCHANGE)));
        String address = environment.apply("AWS_ENDPOINT_URL_" + service);
        address = address == null ? environment.apply("AWS_ENDPOINT_URL") : address;
        return address == null ? builder : builder.endpointOverride(URI.create(address.replaceFirst("/+$", "")));
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

    private static String code(SdkException e) {
        return e instanceof AwsServiceException answer && answer.awsErrorDetails() != null && answer.awsErrorDetails().errorCode() != null
                ? answer.awsErrorDetails().errorCode() : "";
    }

    private static Failure failure(String what, SdkException e, String advice) {
        String reason = !(e instanceof AwsServiceException answer) ? "no answer from AWS"
                : (code(e).isEmpty() ? "AWS answered " + answer.statusCode() : code(e))
                + (answer.requestId() == null ? "" : " (request " + answer.requestId() + ")");
        return new Failure("Could not " + what + ": " + reason + "; " + advice + ".", e);
    }

    /** Logs each try of a call, for --verbose. */
    private final class Log implements MetricPublisher {

        @Override
        public void publish(MetricCollection call) {
            for (MetricCollection attempt : call.childrenWithName("ApiCallAttempt").toList()) {
                verbose.accept(first(call, CoreMetric.SERVICE_ID) + " " + first(call, CoreMetric.OPERATION_NAME) + " "
                        + attempt.metricValues(HttpMetric.HTTP_STATUS_CODE).stream().findFirst().map(String::valueOf).orElse("no answer") + " "
                        + attempt.metricValues(CoreMetric.SERVICE_CALL_DURATION).stream().findFirst().map(Duration::toMillis).orElse(0L)
                        + " ms " + attempt.metricValues(CoreMetric.AWS_REQUEST_ID).stream().findFirst().orElse(""));
            }
        }

        private static String first(MetricCollection call, software.amazon.awssdk.metrics.SdkMetric<String> metric) {
            return call.metricValues(metric).get(0);
        }

        @Override
        public void close() {
        }
    }
}
