//SOURCES Exchange.java
//SOURCES Fault.java
//SOURCES SandboxAws.java
//SOURCES SandboxBranch.java
//SOURCES SandboxHttp.java
//SOURCES SandboxJson.java
//SOURCES SandboxMasking.java
//SOURCES SandboxNeon.java
//SOURCES SandboxNeonApi.java
//SOURCES SandboxNeonJson.java
//SOURCES SandboxOperation.java
//SOURCES SandboxPostgres.java
//SOURCES SandboxSignature.java

import java.net.URI;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;

/**
 * Clouds to try neon-ci in: Neon's API, AWS Systems Manager and AWS Amplify on one loopback port, and behind Neon a real PostgreSQL. It
 * starts with a Neon project whose default branch holds a few customers, an Amplify app with the branches {@code main} and
 * {@code feature/login}, and the Neon API key in a parameter. Any number of sandboxes can run at once.
 */
final class Sandbox implements AutoCloseable {

    private static final String API_KEY_PARAMETER = "/neon/api-key";

    /** The same for all sandboxes of a JVM, since the AWS SDK finds it in a place that they all share. */
    private static final String SECRET_ACCESS_KEY = random(20);

    private final Set<String> secrets = ConcurrentHashMap.newKeySet();
    private final SandboxPostgres postgres;
    private final SandboxNeon neon;
    private final SandboxNeonApi neonApi;
    private final SandboxAws aws;
    private final SandboxHttp http;
    private final String apiKey = "napi_" + random(32);

    private Sandbox(SandboxPostgres postgres) {
        this.postgres = postgres;
        secrets.add(apiKey);
        secrets.add(SECRET_ACCESS_KEY);
        neon = new SandboxNeon(secrets::add, postgres);
        neonApi = new SandboxNeonApi(neon, apiKey);
        aws = new SandboxAws(SECRET_ACCESS_KEY, secrets::add);
        aws.secureString(API_KEY_PARAMETER, apiKey);
        aws.branches("main", "feature/login");
        http = new SandboxHttp(this::answer);
    }

    /** Starts a sandbox with a real PostgreSQL. It takes a few seconds, and ends with {@link #close} or with the JVM. */
    static Sandbox start() {
        return new Sandbox(new SandboxPostgres());
    }

    /** Starts a sandbox whose connection strings look like Neon's and lead nowhere. It takes no time worth speaking of. */
    static Sandbox withoutPostgres() {
        return new Sandbox(null);
    }

    /** Returns the address of all three clouds, {@code http://127.0.0.1:PORT}. */
    URI address() {
        return http.address();
    }

    /** Returns the environment of a command that is to run here as in an Amplify build of the branch {@code feature/login}. */
    Map<String, String> environment() {
        return Map.ofEntries(
                Map.entry("AWS_APP_ID", SandboxAws.APP_ID),
                Map.entry("AWS_BRANCH", "feature/login"),
                Map.entry("AWS_JOB_ID", "0000000001"),
                Map.entry("NEON_PROJECT_ID", SandboxNeon.PROJECT_ID),
                Map.entry("NEON_API_KEY_PARAM", API_KEY_PARAMETER),
                Map.entry("NEON_API_HOST", address() + "/api/v2"),
                Map.entry("AWS_ENDPOINT_URL_SSM", address() + "/ssm"),
                Map.entry("AWS_ENDPOINT_URL_AMPLIFY", address() + "/amplify"),
                Map.entry("AWS_REGION", SandboxAws.REGION),
                Map.entry("AWS_ACCESS_KEY_ID", SandboxAws.ACCESS_KEY_ID),
                Map.entry("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
                Map.entry("AWS_EC2_METADATA_DISABLED", "true"));
    }

    /** Returns this environment with variables of which some may differ, for more changes. */
    Map<String, String> environment(Map<String, String> changes) {
        Map<String, String> environment = new HashMap<>(environment());
        environment.putAll(changes);
        return environment;
    }

    /** Returns what the AWS SDK needs to sign requests to the sandbox from within this JVM, whose environment cannot be changed. */
    Map<String, String> systemProperties() {
        return Map.of(
                "aws.accessKeyId", SandboxAws.ACCESS_KEY_ID,
                "aws.secretAccessKey", SECRET_ACCESS_KEY,
                "aws.disableEc2Metadata", "true");
    }

    SandboxNeon neon() {
        return neon;
    }

    SandboxAws aws() {
        return aws;
    }

    /** Returns the key that Neon's stand-in lets in, for runs that get it as NEON_API_KEY. */
    String apiKey() {
        return apiKey;
    }

    /** Returns every secret that was handed out or stored so far, encoded forms included. None may ever stand in an output. */
    Set<String> secrets() {
        return Set.copyOf(secrets);
    }

    /**
     * Returns every request so far with its answer, in the order the answers were sent. A request that hangs or is held stands there, with
     * the status 0, from the moment it does.
     */
    List<Exchange> exchanges() {
        return http.exchanges();
    }

    /**
     * Waits until this is true of the exchanges so far, and of whatever else it looks at. Throws IllegalStateException when it is not true
     * after two minutes.
     */
    void await(Predicate<List<Exchange>> predicate) {
        http.await(predicate);
    }

    /** Forgets the requests so far, so that the next ones can be looked at alone. */
    void forgetExchanges() {
        http.forgetExchanges();
    }

    /** Adds this much time before each answer from now on. */
    void latency(Duration latency) {
        http.latency(latency);
    }

    /**
     * Lets the next requests go wrong.
     *
     * @param method the requests' method
     * @param pathPattern a regular expression that is found in their path, for instance {@code /branches$}, or in their path and one of
     *     their parameters, for instance {@code /branches\\?cursor$} or {@code /connection_uri\\?pooled=true$}
     * @param times how many of them go wrong before the next succeeds, or -1 for all
     */
    void fail(String method, String pathPattern, int times, Fault fault) {
        http.fail(method, pathPattern, times, fault);
    }

    /** Forgets the faults that have not happened yet. */
    void failNoMore() {
        http.failNoMore();
    }

    /**
     * Keeps back the answers of the next requests of this kind until {@code count} of them have come, then sends them all. What they are
     * answered is decided when they come: none of them sees what the others lead to.
     */
    void hold(String method, String pathPattern, int count) {
        http.hold(method, pathPattern, count);
    }

    /** Lets the world change at a certain moment: runs this once, when the next request of this kind comes, before it takes effect. */
    void when(String method, String pathPattern, Runnable change) {
        http.when(method, pathPattern, change);
    }

    /** Closes the port and all connections, stops PostgreSQL and deletes its folder. The last two happen at the JVM's end too. */
    @Override
    public void close() {
        http.close();
        if (postgres != null) {
            postgres.close();
        }
    }

    private SandboxHttp.Answer answer(SandboxHttp.Request request) {
        String path = request.path();
        if (path.startsWith("/api/v2/")) {
            return neonApi.answer(request, path.substring("/api/v2".length()));
        }
        if (path.equals("/ssm") || path.startsWith("/ssm/")) {
            return aws.ssm(request);
        }
        if (path.startsWith("/amplify/")) {
            // An endpoint may end in a slash.
            return aws.amplify(request, path.replaceFirst("^/amplify/+", "/"));
        }
        return new SandboxHttp.Answer(404, "Nothing is here: " + path, Map.of("Content-Type", "text/plain"));
    }

    private static String random(int bytes) {
        byte[] random = new byte[bytes];
        new SecureRandom().nextBytes(random);
        return HexFormat.of().formatHex(random);
    }
}
