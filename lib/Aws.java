import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.ContainerCredentialsProvider;
import software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider;
import software.amazon.awssdk.auth.credentials.InstanceProfileCredentialsProvider;
import software.amazon.awssdk.auth.credentials.ProcessCredentialsProvider;
import software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.auth.credentials.SystemPropertyCredentialsProvider;
import software.amazon.awssdk.auth.credentials.WebIdentityTokenFileCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.awscore.client.builder.AwsSyncClientBuilder;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.AbortedException;
import software.amazon.awssdk.core.exception.ApiCallAttemptTimeoutException;
import software.amazon.awssdk.core.exception.ApiCallTimeoutException;
import software.amazon.awssdk.core.exception.SdkClientException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.core.metrics.CoreMetric;
import software.amazon.awssdk.core.retry.RetryUtils;
import software.amazon.awssdk.http.AbortableInputStream;
import software.amazon.awssdk.http.ExecutableHttpRequest;
import software.amazon.awssdk.http.HttpExecuteRequest;
import software.amazon.awssdk.http.HttpExecuteResponse;
import software.amazon.awssdk.http.HttpMetric;
import software.amazon.awssdk.http.SdkHttpClient;
import software.amazon.awssdk.http.SdkHttpResponse;
import software.amazon.awssdk.metrics.MetricCollection;
import software.amazon.awssdk.metrics.MetricPublisher;
import software.amazon.awssdk.profiles.ProfileFile;
import software.amazon.awssdk.profiles.ProfileFileLocation;
import software.amazon.awssdk.profiles.ProfileFileSystemSetting;
import software.amazon.awssdk.regions.PartitionMetadata;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.regions.providers.DefaultAwsRegionProviderChain;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.retries.StandardRetryStrategy;
import software.amazon.awssdk.retries.api.BackoffStrategy;
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

    /** The SDK's own three or four may be over in a tenth of a second; six, with pauses of half their length at least, take over one. */
    private static final int TRIES = 6;
    private static final Duration LONGEST_EXCHANGE = Duration.ofSeconds(10);

    /** How AWS names the action that is not allowed, and on what. */
    private static final Pattern DENIED = Pattern.compile("perform: ([\\w-]+:\\w+)(?: on resource: (arn:[^\\s,]+))?");
    private static final String SIGN_IN = "sign in to AWS again: the credentials have expired or are not valid";
    private static final String SET_CLOCK = "set this machine's clock";

    private static final String UNREADABLE_PROFILES = hideUnreadableProfiles();

    private final Region region;
    private final UnaryOperator<String> environment;
    private final Deadline deadline;
    private final Consumer<String> say;
    private final Consumer<String> verbose;
    private AwsCredentialsProvider credentials;
    private volatile Throwable latest;

    /**
     * Opens nothing yet.
     *
     * @param region the AWS region, or null for what the SDK finds in the user's profile or the machine's metadata
     * @param environment gives a variable's value, or null when it is not set
     * @param deadline when to give up
     * @param say takes a line that says what is being waited for
     * @param verbose takes one line per request; null for none
     * @throws Failure if there is no region
     */
    Aws(String region, UnaryOperator<String> environment, Deadline deadline, Consumer<String> say, Consumer<String> verbose) {
        this.region = region == null ? regionOfProfile() : Region.of(region);
        this.environment = environment;
        this.deadline = deadline;
        this.say = say;
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
            throw new Failure("No AWS region is set: name it with --region or AWS_REGION" + UNREADABLE_PROFILES + ".", e);
        }
    }

    /**
     * Hides the files in ~/.aws that the SDK cannot read, since its clients would fail even where they need nothing of them. Returns what
     * is wrong with them, to go on with after a sentence, or nothing.
     */
    private static String hideUnreadableProfiles() {
        StringBuilder unreadable = new StringBuilder();
        Map<ProfileFileSystemSetting, Path> files = new LinkedHashMap<>();
        ProfileFileLocation.configurationFileLocation().ifPresent(file -> files.put(ProfileFileSystemSetting.AWS_CONFIG_FILE, file));
        ProfileFileLocation.credentialsFileLocation()
                .ifPresent(file -> files.put(ProfileFileSystemSetting.AWS_SHARED_CREDENTIALS_FILE, file));
        files.forEach((setting, file) -> {
            try {
                ProfileFile.builder().content(file).type(setting == ProfileFileSystemSetting.AWS_CONFIG_FILE
                        ? ProfileFile.Type.CONFIGURATION : ProfileFile.Type.CREDENTIALS).build();
            } catch (IllegalArgumentException | UncheckedIOException e) {
                System.setProperty(setting.property(), file + ".hidden");
                unreadable.append("; mend ").append(file).append(": ").append(Secret.clean(e.getMessage()));
            }
        });
        return unreadable.toString();
    }

    /**
     * Returns the value of an SSM parameter, decrypted.
     *
     * @param name a name, {@code name:version} or ARN
     * @throws Failure if there is no such parameter, it may not be read, or SSM cannot be reached
     */
    Secret parameter(String name) {
        String what = "read SSM parameter " + name + " in region " + region;
        findCredentials(what);
        try (SsmClient ssm = configure(SsmClient.builder(), "SSM").build()) {
            Parameter parameter = ask(() -> ssm.getParameter(request -> request.name(name).withDecryption(true))).parameter();
            if (parameter == null || parameter.value() == null) {
                throw new Failure("Could not " + what + ": AWS's answer holds none; run again later.");
            }
            return new Secret(parameter.value());
        } catch (SdkException thrown) {
            SdkException e = trouble(thrown);
            throw failure(what, e, "SSM", switch (code(e)) {
                // From a file, for a command line stays in the shell's history.
                case "ParameterNotFound", "ParameterVersionNotFound" -> "check --api-key-param and --region, or store the key there with"
                        + " 'aws ssm put-parameter --type SecureString --name NAME --value file://FILE', from a file that holds it alone";
                case "AccessDeniedException" -> denied(e, "ssm:GetParameter", arn(name));
                case "InvalidKeyId" -> "enable the KMS key that the parameter is stored under, or store it again under another";
                case "ValidationException" -> "check --api-key-param";
                default -> advice(e);
            });
        }
    }

    /** Returns what a policy names the parameter by, which is without a version. */
    private String arn(String parameter) {
        String name = parameter.replaceFirst("^(arn:(?:[^:]*:){4}[^:]*|[^:]*).*", "$1");
        return name.startsWith("arn:") ? name
                : "arn:" + PartitionMetadata.of(region).id() + ":ssm:" + region + ":ACCOUNT:parameter/" + name.replaceFirst("^/", "");
    }

    /**
     * Returns every branch of an Amplify app, all pages of the list.
     *
     * @throws Failure if there is no such app, its branches may not be listed, or a page cannot be read
     */
    List<AmplifyBranch> branches(String appId) {
        String what = "list the branches of Amplify app " + appId + " in region " + region;
        findCredentials(what);
        List<AmplifyBranch> branches = new ArrayList<>();
        Set<String> tokens = new HashSet<>();
        try (AmplifyClient amplify = configure(AmplifyClient.builder(), "AMPLIFY").build()) {
            for (String token = null; token == null || !token.isEmpty(); ) {
                if (deadline.left().isNegative()) {
                    throw new Failure("Could not " + what + " within --wait: its list goes on; give it longer, or run again later.");
                }
                String next = token;
                ListBranchesResponse page = ask(() -> amplify.listBranches(request -> request.appId(appId).maxResults(50)
                        .nextToken(next)));
                requireList(page, what);
                page.branches().forEach(branch -> branches.add(new AmplifyBranch(branch.branchName(), branch.sourceBranch())));
                token = page.nextToken() == null ? "" : page.nextToken();
                if (!token.isEmpty() && !tokens.add(token)) {
                    throw new Failure("Could not " + what + ": its pages go round in a circle; run again later.");
                }
            }
        } catch (SdkException thrown) {
            SdkException e = trouble(thrown);
            String arn = "arn:" + PartitionMetadata.of(region).id() + ":amplify:" + region + ":ACCOUNT:apps/" + appId;
            throw failure(what, e, "AMPLIFY", switch (code(e)) {
                case "NotFoundException" -> "check --app-id and --region";
                case "AccessDeniedException", "UnauthorizedException" ->
                        denied(e, "amplify:ListBranches", arn + " and " + arn + "/branches/*");
                default -> advice(e);
            });
        }
        return branches;
    }

    /** The SDK would take a page without a list for an empty one, and a clean-up all branches for orphans. */
    private static void requireList(ListBranchesResponse page, String what) {
        if (!page.hasBranches()) {
            throw new Failure("Could not " + what + ": AWS's answer holds no list; run again later.");
        }
        if (page.branches().stream().anyMatch(branch -> branch.branchName() == null || branch.branchName().isBlank())) {
            throw new Failure("Could not " + what + ": AWS's answer holds a branch without a name; run again later.");
        }
    }

    private <B extends AwsClientBuilder<B, C> & AwsSyncClientBuilder<B, C>, C> B configure(B builder, String service) {
        latest = null;
        StandardRetryStrategy retries = DefaultRetryStrategy.standardStrategyBuilder().useClientDefaults(false).maxAttempts(TRIES)
                .retryOnException(e -> {
                    latest = e;
                    return isWorthAnotherTry(e);
                })
                .treatAsThrottling(e -> e instanceof SdkException failed && RetryUtils.isThrottlingException(failed))
                .backoffStrategy(pauses(Duration.ofMillis(100))).throttlingBackoffStrategy(pauses(Duration.ofSeconds(1)))
                .build();
        builder.region(region).credentialsProvider(credentials).httpClient(Network.client(deadline, LONGEST_EXCHANGE))
                .overrideConfiguration(configuration -> configuration.retryStrategy(retries)
                        // Without a publisher nothing is measured, which saves some time.
                        .metricPublishers(verbose == null ? List.of() : List.of(new Log()))
                        .apiCallTimeout(deadline.limit(Duration.ofDays(1)).multipliedBy(2))
                        .apiCallAttemptTimeout(deadline.limit(LONGEST_EXCHANGE)));
        return address(service).map(builder::endpointOverride).orElse(builder);
    }

    /** Returns where a service is, if the environment says so. */
    private Optional<URI> address(String service) {
        return Stream.of("AWS_ENDPOINT_URL_" + service, "AWS_ENDPOINT_URL").map(environment).filter(Objects::nonNull).findFirst()
                .map(address -> URI.create(address.replaceFirst("/+$", "")));
    }

    /** The JDK goes a level deeper for each "100 Continue". */
    private static <T> T ask(Supplier<T> request) {
        try {
            return request.get();
        } catch (StackOverflowError e) {
            throw SdkClientException.create("", e);
        }
    }

    /** When there is no time left for another try, the reason for that try tells more than the time. */
    private SdkException trouble(SdkException e) {
        return e instanceof ApiCallTimeoutException && latest instanceof SdkException trouble ? trouble : e;
    }

    /** A read whose answer was cut off, made by a proxy, or lost behind one may be made again; the SDK corrects a clock meanwhile. */
    private static boolean isWorthAnotherTry(Throwable e) {
        return e instanceof AwsServiceException answer ? answer.statusCode() >= 500 || RetryUtils.isThrottlingException(answer)
                || RetryUtils.isClockSkewException(answer) : e instanceof SdkClientException && !Network.isHopeless(Network.reason(e));
    }

    /** Pauses that grow from this one, up to the SDK's own longest, and that are said. */
    private BackoffStrategy pauses(Duration first) {
        BackoffStrategy growing = BackoffStrategy.exponentialDelayHalfJitter(first, Duration.ofSeconds(20));
        return attempt -> {
            Duration pause = growing.computeDelay(attempt);
            if (pause.toMillis() > 1000) {
                say.accept(String.format(Locale.ROOT, "AWS does not answer as it should; trying again in %.1f s.",
                        pause.toMillis() / 1000.0));
            }
            return pause;
        };
    }

    /**
     * Looks for credentials where the SDK does, in its order. The aws command knows ways that would take more of the SDK than is loaded
     * here: single sign-on, roles of a profile. Only the machine's metadata, which a laptop waits for in vain, comes after it.
     */
    private void findCredentials(String what) {
        if (credentials != null) {
            return;
        }
        String profile = environment.apply("AWS_PROFILE") == null ? "default" : environment.apply("AWS_PROFILE");
        Map<String, Supplier<AwsCredentialsProvider>> sources = new LinkedHashMap<>();
        sources.put("system properties", SystemPropertyCredentialsProvider::create);
        sources.put("the environment", EnvironmentVariableCredentialsProvider::create);
        sources.put("a web identity", WebIdentityTokenFileCredentialsProvider::create);
        sources.put("profile '" + profile + "'", ProfileCredentialsProvider::create);
        sources.put("the container", () -> ContainerCredentialsProvider.builder().build());
        sources.put("'aws configure export-credentials'", () -> ProcessCredentialsProvider.builder()
                .command(List.of("aws", "configure", "export-credentials", "--format", "process")).build());
        sources.put("this machine's metadata", InstanceProfileCredentialsProvider::create);
        List<String> tried = new ArrayList<>();
        sources.forEach((name, source) -> {
            if (credentials == null) {
                credentials = resolve(name, source, tried);
            }
        });
        if (credentials == null) {
            throw new Failure("Could not " + what + ": there are no AWS credentials; in Amplify give the app a service role, elsewhere"
                    + " sign in" + UNREADABLE_PROFILES + " (tried: " + String.join(", ", tried) + ").");
        }
    }

    private static AwsCredentialsProvider resolve(String name, Supplier<AwsCredentialsProvider> source, List<String> tried) {
        try {
            AwsCredentialsProvider provider = source.get();
            provider.resolveCredentials();
            return provider;
        } catch (SdkException | IllegalStateException | IllegalArgumentException | UncheckedIOException e) {
            // The SDK's own texts go on for hundreds of characters; what the aws command has to say is for people.
            boolean isThere = Network.cause(e, IOException.class)
                    .filter(failed -> String.valueOf(failed.getMessage()).startsWith("Cannot run ")).isEmpty();
            // The command's first version has no such subcommand, and answers with how it is used.
            String said = isThere ? Network.rootMessage(e)
                    .replaceFirst("(?s).* with error message:(?=.*usage:).*", "it is too old for that")
                    .replaceFirst("(?s).* with error message: |(?!it is too old).*", "") : "there is no such command";
            tried.add(name + (said.isBlank() ? "" : ": " + Secret.clean(said)));
            return null;
        }
    }

    private static String code(SdkException e) {
        return e instanceof AwsServiceException answer && answer.awsErrorDetails() != null && answer.awsErrorDetails().errorCode() != null
                ? answer.awsErrorDetails().errorCode() : "";
    }

    private static String message(SdkException e) {
        return e instanceof AwsServiceException answer && answer.awsErrorDetails() != null
                && answer.awsErrorDetails().errorMessage() != null ? answer.awsErrorDetails().errorMessage() : "";
    }

    /** Returns what to allow: the action that AWS names, which may be another than the one that was asked for. */
    private static String denied(SdkException e, String action, String arns) {
        Optional<MatchResult> named = DENIED.matcher(message(e)).results().findFirst();
        String needed = named.map(found -> found.group(1)).orElse(message(e).contains("ciphertext") ? "kms:Decrypt" : action);
        String resource = needed.equals(action) ? arns : named.map(found -> found.group(2)).orElse("the parameter's KMS key");
        return (message(e).contains("explicit deny") ? "lift the explicit deny of " : "allow ") + needed + " on " + resource
                + " in the Amplify app's service role";
    }

    /** Returns what helps against what any call may be answered with, or null if only AWS can say. */
    private static String advice(SdkException e) {
        boolean isClock = message(e).matches("(?is).*(signature expired|not yet current).*");
        return switch (code(e)) {
            case "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture" -> SET_CLOCK;
            case "InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure" -> isClock ? SET_CLOCK : SIGN_IN;
            case "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId", "IncompleteSignature",
                    "IncompleteSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
                    "InvalidAccessKeyId", "OptInRequired" -> SIGN_IN;
            default -> isWorthAnotherTry(e) ? "run again later" : null;
        };
    }

    private Failure failure(String what, SdkException e, String service, String advice) {
        if (!(e instanceof AwsServiceException answer)) {
            URI address = address(service)
                    .orElseGet(() -> URI.create("https://" + service.toLowerCase(Locale.ROOT) + "." + region + ".amazonaws.com"));
            boolean isTimeout = e instanceof ApiCallTimeoutException || e instanceof ApiCallAttemptTimeoutException
                    || e instanceof AbortedException;
            String reason = isTimeout ? "timed out" : Network.reason(e, address);
            return new Failure("Could not " + what + ": no answer from AWS (" + reason + "); " + Network.advice(reason) + ".", e);
        }
        String said = advice == null && !message(e).isBlank() ? ", " + Secret.clean(message(e)) : "";
        return new Failure("Could not " + what + ": " + (code(e).isEmpty() ? "AWS answered " + answer.statusCode() : code(e)) + said
                + (answer.requestId() == null ? "" : " (request " + answer.requestId() + ")") + "; "
                + (advice == null ? "change what AWS names, or check any proxy, and run again" : advice) + ".", e);
    }

    /** Logs each try of a call, for --verbose. */
    private final class Log implements MetricPublisher {

        @Override
        public void publish(MetricCollection call) {
            for (MetricCollection attempt : call.childrenWithName("ApiCallAttempt").toList()) {
                verbose.accept(first(call, CoreMetric.SERVICE_ID) + " " + first(call, CoreMetric.OPERATION_NAME) + " "
                        + attempt.metricValues(HttpMetric.HTTP_STATUS_CODE).stream().findFirst().map(String::valueOf).orElse("no answer")
                        + " "
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
