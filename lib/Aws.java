import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import software.amazon.awssdk.auth.credentials.AwsCredentials;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.http.ContentStreamProvider;
import software.amazon.awssdk.http.HttpExecuteRequest;
import software.amazon.awssdk.http.HttpExecuteResponse;
import software.amazon.awssdk.http.SdkHttpClient;
import software.amazon.awssdk.http.SdkHttpMethod;
import software.amazon.awssdk.http.SdkHttpRequest;
import software.amazon.awssdk.http.SdkHttpResponse;
import software.amazon.awssdk.http.auth.aws.signer.AwsV4HttpSigner;
import software.amazon.awssdk.http.auth.spi.signer.SignedRequest;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.providers.DefaultAwsRegionProviderChain;

/**
 * Reads from AWS, and only reads: the Neon API key from an SSM parameter, and the branches of an Amplify app. Says nothing of what an
 * answer holds: Amplify's carry environment variables and passwords.
 *
 * <p>Credentials, signatures and connections are the SDK's. Its service clients are not used: for these two requests they would double
 * the time and the memory of a whole run, and treble what a build downloads.
 */
final class Aws {

    /** An Amplify branch; a pull request's preview also names the branch that it was opened from, any other has null there. */
    record AmplifyBranch(String name, String sourceBranch) {
    }

    /** A failure that AWS reported, or a request that got no answer that makes sense (status 0). */
    private static final class AwsException extends Exception {

        private final int status;
        private final String code;
        private final String requestId;

        private AwsException(int status, String code, String requestId, Throwable cause) {
            super(cause);
            this.status = status;
            this.code = code;
            this.requestId = requestId;
        }

        /** Tells whether the same request may well succeed: nothing came back, the service is at fault, or it had too many requests. */
        private boolean isTemporary() {
            return status == 0 || status == 429 || status >= 500 || code.contains("Throttl") || code.contains("TooManyRequests");
        }
    }

    /** The SDK's clients make four, whose random pauses may be over in a tenth of a second; six outlast a short outage. */
    private static final int TRIES = 6;
    private static final long FIRST_PAUSE_MILLIS = 100;

    private static final int TIMEOUT_MILLIS = 10_000;

    private final String region;
    private final UnaryOperator<String> environment;
    private final Instant deadline;
    private final Consumer<String> verbose;
    private final DefaultCredentialsProvider credentials = DefaultCredentialsProvider.builder().build();
    private final AwsV4HttpSigner signer = AwsV4HttpSigner.create();
    // The client's own connections would read the JDK's certificates a second time, which Neon's have to read anyway.
    private final SdkHttpClient http = UrlConnectionHttpClient.create(this::connect);

    /**
     * Opens nothing yet.
     *
     * @param region the AWS region, or null for what the SDK finds in the user's profile or the machine's metadata
     * @param environment gives a variable's value, or null when it is not set
     * @param deadline when to give up
     * @param verbose takes one line per request
     * @throws Failure if there is no region
     */
    Aws(String region, UnaryOperator<String> environment, Instant deadline, Consumer<String> verbose) {
        this.region = region == null ? regionOfProfile() : region;
        this.environment = environment;
        this.deadline = deadline;
        this.verbose = verbose;
    }

    private static String regionOfProfile() {
        try {
            return DefaultAwsRegionProviderChain.builder().build().getRegion().id();
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
        ObjectNode body = NeonHttp.JSON.createObjectNode().put("Name", name).put("WithDecryption", true);
        SdkHttpRequest request = request("ssm", SdkHttpMethod.POST, "/")
                .putHeader("Content-Type", "application/x-amz-json-1.1")
                .putHeader("X-Amz-Target", "AmazonSSM.GetParameter")
                .build();
        try {
            return new Secret(requireText(send("ssm", "SSM GetParameter", request, body.toString(), what).path("Parameter"), "Value"));
        } catch (AwsException e) {
            throw failure(what, e, switch (e.code) {
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
        List<AmplifyBranch> branches = new ArrayList<>();
        Set<String> tokens = new HashSet<>();
        String token = "";
        try {
            do {
                SdkHttpRequest.Builder request = request("amplify", SdkHttpMethod.GET, "/apps/" + appId + "/branches")
                        .putRawQueryParameter("maxResults", "50");
                if (!token.isEmpty()) {
                    request.putRawQueryParameter("nextToken", token);
                }
                JsonNode page = send("amplify", "Amplify ListBranches", request.build(), "", what);
                if (!page.path("branches").isArray()) {
                    throw new AwsException(0, "", "", null);
                }
                for (JsonNode branch : page.path("branches")) {
                    branches.add(new AmplifyBranch(requireText(branch, "branchName"), branch.path("sourceBranch").asText(null)));
                }
                token = page.path("nextToken").asText("");
                if (!token.isEmpty() && !tokens.add(token)) {
                    throw new Failure("Could not " + what + ": its pages go round in a circle; run again later.");
                }
            } while (!token.isEmpty());
        } catch (AwsException e) {
            String arn = "arn:aws:amplify:" + region + ":ACCOUNT:apps/" + appId;
            throw failure(what, e, switch (e.code) {
                case "NotFoundException" -> "check --app-id and --region";
                case "AccessDeniedException", "UnauthorizedException" -> "allow amplify:ListBranches on " + arn + " and " + arn
                        + "/branches/* in the Amplify app's service role";
                default -> "run again later";
            });
        }
        return branches;
    }

    /** Begins a request to where the service is, or to where the variable that all of AWS's tools know says that it is. */
    private SdkHttpRequest.Builder request(String service, SdkHttpMethod method, String path) {
        String elsewhere = environment.apply("AWS_ENDPOINT_URL_" + service.toUpperCase(Locale.ROOT));
        // Amplify Hosting is offered nowhere but under this domain.
        String endpoint = elsewhere == null ? "https://" + service + "." + region + ".amazonaws.com" : elsewhere;
        return SdkHttpRequest.builder().method(method).uri(URI.create(endpoint + path)).putHeader("User-Agent", "neon-ci");
    }

    /** Sends a read, which can be repeated, until it succeeds or there is no hope. */
    private JsonNode send(String service, String operation, SdkHttpRequest request, String body, String what) throws AwsException {
        AwsCredentials identity = requireCredentials(what);
        for (int attempt = 1; ; attempt++) {
            try {
                ContentStreamProvider payload = body.isEmpty() ? null : ContentStreamProvider.fromUtf8String(body);
                return sendOnce(operation, signer.sign(unsigned -> unsigned.identity(identity).request(request).payload(payload)
                        .putProperty(AwsV4HttpSigner.SERVICE_SIGNING_NAME, service)
                        .putProperty(AwsV4HttpSigner.REGION_NAME, region)));
            } catch (AwsException e) {
                long pause = ThreadLocalRandom.current().nextLong(FIRST_PAUSE_MILLIS << attempt);
                if (!e.isTemporary() || attempt == TRIES || Instant.now().plusMillis(pause).isAfter(deadline)) {
                    throw e;
                }
                sleep(pause);
            }
        }
    }

    private JsonNode sendOnce(String operation, SignedRequest request) throws AwsException {
        long start = System.nanoTime();
        SdkHttpResponse answer;
        byte[] body;
        try {
            HttpExecuteResponse response = http.prepareRequest(HttpExecuteRequest.builder()
                    .request(request.request())
                    .contentStreamProvider(request.payload().orElse(null))
                    .build()).call();
            answer = response.httpResponse();
            body = response.responseBody().isPresent() ? response.responseBody().get().readAllBytes() : new byte[0];
        } catch (IOException | UncheckedIOException e) {
            log(operation, "no answer", start, "");
            throw new AwsException(0, "", "", e);
        }
        String requestId = answer.firstMatchingHeader("x-amzn-RequestId").orElse("");
        log(operation, String.valueOf(answer.statusCode()), start, requestId);
        JsonNode json = parse(body);
        if (!answer.isSuccessful()) {
            String code = answer.firstMatchingHeader("x-amzn-ErrorType").orElse(json.path("__type").asText(""));
            // Some services put the code between their own name and an address.
            throw new AwsException(answer.statusCode(), code.replaceFirst("^.*#", "").replaceFirst(":.*", ""), requestId, null);
        }
        if (!json.isObject()) {
            // It was cut off, or made by something between AWS and here.
            throw new AwsException(0, "", requestId, null);
        }
        return json;
    }

    private HttpURLConnection connect(URI uri) {
        try {
            HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection();
            // Leaves time to try again before the deadline, but enough to read an answer.
            long half = Math.max(1000, Duration.between(Instant.now(), deadline).toMillis() / 2);
            connection.setConnectTimeout((int) Math.min(TIMEOUT_MILLIS, half));
            connection.setReadTimeout((int) Math.min(TIMEOUT_MILLIS, half));
            connection.setUseCaches(false);
            return connection;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** With no credentials the SDK's own text lists its chain of providers, over a thousand characters of it. */
    private AwsCredentials requireCredentials(String what) {
        try {
            return credentials.resolveCredentials();
        } catch (SdkException e) {
            throw new Failure("Could not " + what + ": there are no AWS credentials; in Amplify give the app a service role, elsewhere"
                    + " sign in and run 'eval \"$(aws configure export-credentials --format env)\"'.", e);
        }
    }

    private void log(String operation, String outcome, long startNanos, String requestId) {
        verbose.accept(operation + " " + outcome + " " + (System.nanoTime() - startNanos) / 1_000_000 + " ms " + requestId);
    }

    private static JsonNode parse(byte[] body) {
        try {
            return NeonHttp.JSON.readTree(body);
        } catch (IOException e) {
            return MissingNode.getInstance();
        }
    }

    private static String requireText(JsonNode json, String field) throws AwsException {
        if (!json.path(field).isTextual()) {
            throw new AwsException(0, "", "", null);
        }
        return json.path(field).asText();
    }

    private static void sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new Failure("Interrupted; run again, which goes on where this run stopped.", e);
        }
    }

    private static Failure failure(String what, AwsException e, String advice) {
        String reason = (e.status == 0 ? "no answer from AWS" : e.code.isEmpty() ? "AWS answered " + e.status : e.code)
                + (e.requestId.isEmpty() ? "" : " (request " + e.requestId + ")");
        return new Failure("Could not " + what + ": " + reason + "; " + advice + ".", e);
    }
}
