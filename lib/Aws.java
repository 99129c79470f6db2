import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
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
import software.amazon.awssdk.http.HttpMetric;
import software.amazon.awssdk.http.SdkHttpClient;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.metrics.MetricCollection;
import software.amazon.awssdk.metrics.MetricPublisher;
import software.amazon.awssdk.metrics.SdkMetric;
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

    /** What is wrong with the files in ~/.aws, to go on with after a sentence, or nothing. */
    private static final String UNREADABLE_PROFILES =
            hideUnreadable(ProfileFileSystemSetting.AWS_CONFIG_FILE, ProfileFile.Type.CONFIGURATION,
                    ProfileFileLocation.configurationFileLocation())
            + hideUnreadable(ProfileFileSystemSetting.AWS_SHARED_CREDENTIALS_FILE, ProfileFile.Type.CREDENTIALS,
                    ProfileFileLocation.credentialsFileLocation());

    private final Region region;
    private final UnaryOperator<String> environment;
    private final Deadline deadline;
    private final Consumer<String> say;
    private final Consumer<String> verbose;
    private SdkHttpClient http;
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
        http = Network.client(deadline, LONGEST_EXCHANGE);
    }

    /** Reads, but does not send the request, so that the SDK's thousand classes are loaded while others are at work. */
    static void warmUp(Consumer<Aws> read) {
        Aws aws = new Aws("us-east-1", name -> null, Deadline.in(LONGEST_EXCHANGE), line -> { }, null);
        aws.credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("none", "none"));
        aws.http = UrlConnectionHttpClient.create(address -> {
            throw new Failure("Not sent.");
        });
        try {
            read.accept(aws);
        } catch (Failure e) {
            // It is not sent.
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

    /** Hides a file that the SDK cannot read, since its clients would fail even where they need nothing of it, and says what is wrong. */
    private static String hideUnreadable(ProfileFileSystemSetting setting, ProfileFile.Type type, Optional<Path> file) {
        try {
            file.ifPresent(path -> ProfileFile.builder().content(path).type(type).build());
            return "";
        } catch (IllegalArgumentException | UncheckedIOException e) {
            System.setProperty(setting.property(), file.get() + ".hidden");
            return "; mend " + file.get() + ": " + Secret.clean(e.getMessage());
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
        try (SsmClient ssm = configure(SsmClient.builder(), "ssm", what).build()) {
            Parameter parameter = ssm.getParameter(request -> request.name(name).withDecryption(true)).parameter();
            if (parameter == null || parameter.value() == null) {
                throw new Failure("Could not " + what + ": AWS's answer holds none; run again later.");
            }
            return new Secret(parameter.value());
        } catch (SdkException | StackOverflowError e) {
            // A policy names the parameter without a version.
            String unversioned = name.replaceFirst("^(arn:(?:[^:]*:){4}[^:]*|[^:]*).*", "$1");
            throw failure(what, e, "ssm", "ssm:GetParameter", unversioned.startsWith("arn:") ? unversioned
                    : arn("ssm", "parameter/" + unversioned.replaceFirst("^/", "")));
        }
    }

    /**
     * Returns every branch of an Amplify app, all pages of the list.
     *
     * @throws Failure if there is no such app, its branches may not be listed, or a page cannot be read
     */
    List<AmplifyBranch> branches(String appId) {
        String what = "list the branches of Amplify app " + appId + " in region " + region;
        List<AmplifyBranch> branches = new ArrayList<>();
        Set<String> tokens = new HashSet<>();
        try (AmplifyClient amplify = configure(AmplifyClient.builder(), "amplify", what).build()) {
            for (ListBranchesResponse page : amplify.listBranchesPaginator(request -> request.appId(appId).maxResults(50))) {
                requireWhole(page, tokens, what);
                page.branches().forEach(branch -> branches.add(new AmplifyBranch(branch.branchName(), branch.sourceBranch())));
            }
        } catch (SdkException | StackOverflowError e) {
            String app = arn("amplify", "apps/" + appId);
            throw failure(what, e, "amplify", "amplify:ListBranches", app + " and " + app + "/branches/*");
        }
        return branches;
    }

    /** The SDK would take a page without a list for an empty one, and a clean-up all branches for orphans. */
    private void requireWhole(ListBranchesResponse page, Set<String> tokens, String what) {
        String trouble = !page.hasBranches() ? ": AWS's answer holds no list; run again later"
                : page.branches().stream().anyMatch(branch -> branch == null || branch.branchName() == null || branch.branchName().isBlank())
                        ? ": AWS's answer holds a branch without a name; run again later"
                : !tokens.add(page.nextToken()) ? ": its pages go round in a circle; run again later"
                : page.nextToken() != null && deadline.left().isNegative()
                        ? " within --wait: its list goes on; give it longer, or run again later"
                : "";
        if (!trouble.isEmpty()) {
            throw new Failure("Could not " + what + trouble + ".");
        }
    }

    private String arn(String service, String resource) {
        return "arn:" + PartitionMetadata.of(region).id() + ":" + service + ":" + region + ":ACCOUNT:" + resource;
    }

    private <B extends AwsClientBuilder<B, C> & AwsSyncClientBuilder<B, C>, C> B configure(B builder, String service, String what) {
        credentials = credentials == null ? findCredentials(what) : credentials;
        latest = null;
        StandardRetryStrategy retries = DefaultRetryStrategy.standardStrategyBuilder().useClientDefaults(false).maxAttempts(TRIES)
                .retryOnException(e -> {
                    latest = e;
                    return isWorthAnotherTry(e);
                })
                .treatAsThrottling(e -> e instanceof SdkException failed && RetryUtils.isThrottlingException(failed))
                .backoffStrategy(pauses(Duration.ofMillis(100))).throttlingBackoffStrategy(pauses(Duration.ofSeconds(1)))
                .build();
        builder.region(region).credentialsProvider(credentials).httpClient(http)
                .overrideConfiguration(configuration -> configuration.retryStrategy(retries)
                        // Without a publisher nothing is measured, which saves some time.
                        .metricPublishers(verbose == null ? List.of() : List.of(new Log(verbose)))
                        .apiCallTimeout(deadline.limit(Duration.ofDays(1)).multipliedBy(2))
                        .apiCallAttemptTimeout(deadline.limit(LONGEST_EXCHANGE)));
        return address(service).map(builder::endpointOverride).orElse(builder);
    }

    /** Returns where a service is, if the environment says so. */
    private Optional<URI> address(String service) {
        return Stream.of("AWS_ENDPOINT_URL_" + service.toUpperCase(Locale.ROOT), "AWS_ENDPOINT_URL").map(environment)
                .filter(Objects::nonNull).findFirst().map(address -> URI.create(address.replaceFirst("/+$", "")));
    }

    /** A read whose answer was cut off, made by a proxy, or lost behind one may be made again. */
    private static boolean isWorthAnotherTry(Throwable e) {
        return e instanceof AwsServiceException answer ? AwsRefusal.isForNow(answer)
                : e instanceof SdkClientException && !Network.isHopeless(Network.reason(e));
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
    private AwsCredentialsProvider findCredentials(String what) {
        Map<String, Supplier<AwsCredentialsProvider>> sources = new LinkedHashMap<>();
        sources.put("system properties", SystemPropertyCredentialsProvider::create);
        sources.put("the environment", EnvironmentVariableCredentialsProvider::create);
        sources.put("a web identity", WebIdentityTokenFileCredentialsProvider::create);
        sources.put("profile '" + Objects.requireNonNullElse(environment.apply("AWS_PROFILE"), "default") + "'",
                ProfileCredentialsProvider::create);
        sources.put("the container", ContainerCredentialsProvider::create);
        sources.put("'aws configure export-credentials'", () -> ProcessCredentialsProvider.builder()
                .command(List.of("aws", "configure", "export-credentials", "--format", "process")).build());
        sources.put("this machine's metadata", InstanceProfileCredentialsProvider::create);
        List<String> tried = new ArrayList<>();
        for (String source : sources.keySet()) {
            try {
                AwsCredentialsProvider provider = sources.get(source).get();
                provider.resolveCredentials();
                return provider;
            } catch (RuntimeException e) {
                tried.add(source + complaint(e));
            }
        }
        throw new Failure("Could not " + what + ": there are no AWS credentials; in Amplify give the app a service role, elsewhere"
                + " sign in" + UNREADABLE_PROFILES + " (tried: " + String.join(", ", tried) + ").");
    }

    /** The SDK's own texts go on for hundreds of characters; what the aws command has to say is for people. */
    private static String complaint(Throwable e) {
        String text = Network.rootMessage(e);
        boolean isThere = Network.cause(e, IOException.class).map(Throwable::getMessage)
                .filter(message -> message.startsWith("Cannot run ")).isEmpty();
        String complaint = !isThere ? "there is no such command"
                // The command's first version has no such subcommand, and answers with how it is used.
                : text.contains("usage:") ? "it is too old for that"
                : Secret.clean(text.replaceFirst("(?s).* with error message: |.*", ""));
        return complaint.isEmpty() ? "" : ": " + complaint;
    }

    /** Says why a read failed, and what helps: where it was not allowed, to allow this action on these ARNs. */
    private Failure failure(String what, Throwable thrown, String service, String action, String arns) {
        // When there is no time left for another try, the reason for that try tells more than the time.
        Throwable e = thrown instanceof ApiCallTimeoutException && latest != null ? latest : thrown;
        if (e instanceof AwsServiceException answer) {
            return new Failure("Could not " + what + ": " + AwsRefusal.sentence(answer, action, arns) + ".", e);
        }
        boolean isTimeout = e instanceof ApiCallTimeoutException || e instanceof ApiCallAttemptTimeoutException
                || e instanceof AbortedException;
        String reason = isTimeout ? "timed out" : Network.reason(e, address(service)
                .orElseGet(() -> URI.create("https://" + service + "." + region + ".amazonaws.com")));
        return new Failure("Could not " + what + ": no answer from AWS (" + reason + "); " + Network.advice(reason) + ".", e);
    }

    /** Logs each try of a call, for --verbose. */
    private record Log(Consumer<String> verbose) implements MetricPublisher {

        @Override
        public void publish(MetricCollection call) {
            call.childrenWithName("ApiCallAttempt").forEach(attempt -> verbose.accept(
                    first(call, CoreMetric.SERVICE_ID).orElseThrow() + " " + first(call, CoreMetric.OPERATION_NAME).orElseThrow() + " "
                    + first(attempt, HttpMetric.HTTP_STATUS_CODE).map(String::valueOf).orElse("no answer") + " "
                    + first(attempt, CoreMetric.SERVICE_CALL_DURATION).orElse(Duration.ZERO).toMillis() + " ms "
                    + first(attempt, CoreMetric.AWS_REQUEST_ID).orElse("")));
        }

        private static <T> Optional<T> first(MetricCollection metrics, SdkMetric<T> metric) {
            return metrics.metricValues(metric).stream().findFirst();
        }

        @Override
        public void close() {
        }
    }
}
