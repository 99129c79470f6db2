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

import java.security.SecureRandom;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Stand-ins for Neon's API, AWS Systems Manager and AWS Amplify on one loopback port, on request with PostgreSQL servers behind Neon. They
 * start with a Neon project whose default branch holds a few customers, an Amplify app with the branches {@code main} and
 * {@code feature/login}, and the Neon API key in an SSM parameter. Any number of sandboxes can run at the same time.
 */
final class Sandbox extends SandboxHttp {

    private static final String API_KEY_PARAMETER = "/neon/api-key";

    /** Shared by all sandboxes of a JVM, because the AWS SDK reads it from a system property. */
    private static final String SECRET_ACCESS_KEY = random(20);

    private final Set<String> secrets = ConcurrentHashMap.newKeySet();
    private final String apiKey = "napi_" + random(32);
    private final SandboxPostgres postgres;
    private final SandboxNeon neon;
    private final SandboxNeonApi neonApi;
    private final SandboxAws aws;

    private Sandbox(SandboxPostgres postgres) {
        this.postgres = postgres;
        secrets.addAll(List.of(apiKey, SECRET_ACCESS_KEY));
        neon = new SandboxNeon(secrets::add, postgres);
        neonApi = new SandboxNeonApi(neon, apiKey, this::now);
        aws = new SandboxAws(SECRET_ACCESS_KEY, secrets::add, this::now);
        aws.secureString(API_KEY_PARAMETER, apiKey);
        aws.branches("main", "feature/login");
        listen(0);
    }

    /** Starts a sandbox with PostgreSQL, which takes a few seconds and ends with {@link #close} or with the JVM. */
    static Sandbox start() {
        return new Sandbox(new SandboxPostgres());
    }

    /** Starts a sandbox at once, whose connection strings look like Neon's and lead nowhere. */
    static Sandbox withoutPostgres() {
        return new Sandbox(null);
    }

    /** Returns the environment of an Amplify build of the branch {@code feature/login} in the sandbox. */
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

    /** Returns a modifiable copy of that environment with these changes. */
    Map<String, String> environment(Map<String, String> changes) {
        Map<String, String> environment = new HashMap<>(environment());
        environment.putAll(changes);
        return environment;
    }

    /** Returns the system properties that let the AWS SDK sign requests to the sandbox inside this JVM. */
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

    /** Returns the Neon API key, for runs that read it from NEON_API_KEY. */
    String apiKey() {
        return apiKey;
    }

    /** Returns every secret so far, encoded forms included. None of them may appear in any output. */
    Set<String> secrets() {
        return Set.copyOf(secrets);
    }

    /** Also stops PostgreSQL and deletes its data. */
    @Override
    public void close() {
        super.close();
        if (postgres != null) {
            postgres.close();
        }
    }

    @Override
    Answer answer(Request request) {
        List<String> path = request.segments();
        return switch (path.isEmpty() ? "" : path.get(0)) {
            case "api" -> neonApi.answer(request);
            case "ssm" -> aws.ssm(request);
            case "amplify" -> aws.amplify(request);
            default -> new Answer(404, "not found: " + request.path(), Map.of("Content-Type", "text/plain"));
        };
    }

    private static String random(int bytes) {
        byte[] random = new byte[bytes];
        new SecureRandom().nextBytes(random);
        return HexFormat.of().formatHex(random);
    }
}
