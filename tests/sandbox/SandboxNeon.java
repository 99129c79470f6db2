import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import java.util.function.Supplier;
import software.amazon.awssdk.utils.http.SdkHttpUtils;

/**
 * The sandbox's Neon project: its branches and operations, and how a test wants it to behave. {@link SandboxNeonApi} answers its requests,
 * and holds this object's lock meanwhile.
 */
final class SandboxNeon {

    static final String PROJECT_ID = "quiet-sandbox-12345678";

    private static final List<String> ADJECTIVES = List.of("aged", "calm", "damp", "fancy", "jolly", "late", "quiet", "raspy", "sweet");
    private static final List<String> NOUNS = List.of("art", "bar", "dew", "field", "hill", "mud", "pine", "river", "salad", "violet");

    /** By id, oldest first. */
    final Map<String, SandboxBranch> branches = new LinkedHashMap<>();

    /** By id. */
    final Map<String, SandboxOperation> operations = new LinkedHashMap<>();

    /** The number of branches that the plan allows. */
    volatile int branchesLimit = 5_000;

    /** Whether changes are answered with 423 while operations run. */
    volatile boolean allowsOneChangeAtATime;

    /** Whether the project's setting that stores passwords is on; without it Neon has no connection strings. */
    volatile boolean storesPasswords = true;

    /** Whether to answer requests above Neon's limits, 40 a second for each route and 700 a minute in all, with 429. */
    volatile boolean isRateLimited;

    /** The number of requests that were above these limits. */
    volatile int rateLimitViolations;

    private final Random random = new Random();
    private final Consumer<String> secrets;
    private final SandboxPostgres postgres;

    private Supplier<String> passwordGenerator = this::randomPassword;
    private Duration operationsTake = Duration.ofMillis(100);
    private int operationsTakePolls;
    private String operationsEndStatus = "finished";
    private String operationsEndError;
    private Duration maskingTakes = Duration.ofMillis(100);
    private int maskingTakesPolls;
    private String maskingErrorState = "";
    private String maskingError;
    private int maskingErrors;

    /**
     * Starts with the default branch {@code production}, which has the role {@code neondb_owner} and the database {@code neondb}.
     *
     * @param secrets receives every password and connection string
     * @param postgres the servers of the branches, or null: then connection strings lead nowhere
     */
    SandboxNeon(Consumer<String> secrets, SandboxPostgres postgres) {
        this.secrets = secrets;
        this.postgres = postgres;
        SandboxBranch production = new SandboxBranch(id("br"), "production", null);
        production.isDefault = true;
        production.passwords = passwords(List.of("neondb_owner"));
        production.databases = Map.of("neondb", "neondb_owner");
        production.computes = List.of(compute("read_write", 0));
        branches.put(production.id, production);
        if (postgres != null) {
            postgres.createFirst(production);
        }
    }

    // For tests.

    /** Returns all branches, oldest first. */
    synchronized List<SandboxBranch> branches() {
        return List.copyOf(branches.values());
    }

    /** Returns the names of all branches, oldest first. */
    List<String> names() {
        return branches().stream().map(branch -> branch.name).toList();
    }

    /** Returns the branch with this name or id. Throws IllegalArgumentException if there is none. */
    synchronized SandboxBranch branch(String nameOrId) {
        return branches.values().stream().filter(branch -> branch.id.equals(nameOrId) || branch.name.equals(nameOrId)).findFirst()
                .orElseThrow(() -> new IllegalArgumentException("no Neon branch is called " + nameOrId));
    }

    synchronized boolean hasBranch(String name) {
        return branches.values().stream().anyMatch(branch -> branch.name.equals(name));
    }

    /** Adds a child of the default branch, ready, with a compute. */
    SandboxBranch add(String name) {
        return add(name, defaultBranch().name);
    }

    /** Adds a child of another branch. */
    synchronized SandboxBranch add(String name, String parent) {
        return create(name, branch(parent), false, List.of(compute("read_write", 0)));
    }

    synchronized void remove(String nameOrId) {
        drop(branch(nameOrId));
    }

    synchronized void rename(String nameOrId, String name) {
        branch(nameOrId).name = name;
    }

    /** Makes all branches older by this much, and deletes those that have expired. */
    synchronized void passTime(Duration time) {
        branches().forEach(branch -> branch.age(time));
        branches().stream().filter(branch -> branch.expiresAt != null && !branch.expiresAt.isAfter(Instant.now())).forEach(this::drop);
    }

    /** Returns the direct connection string of a branch for its first role and database. */
    synchronized String connectionString(String nameOrId) {
        SandboxBranch branch = branch(nameOrId);
        return uri(branch, branch.passwords.keySet().iterator().next(), branch.databases.keySet().iterator().next(), false);
    }

    /** Replaces the roles of a branch, each with a new password. A role named {@code web_access} is one that Neon manages. */
    synchronized void roles(String branch, String... names) {
        branch(branch).passwords = passwords(List.of(names));
    }

    /** Sets how passwords are created. */
    synchronized void passwords(Supplier<String> generator) {
        passwordGenerator = generator;
    }

    /** Sets how long each new operation runs. */
    synchronized void operationsTake(Duration duration) {
        operationsTake = duration;
    }

    /** Keeps each new operation running until a client has asked for it, or for its branch, this many times. */
    synchronized void operationsTakePolls(int polls) {
        operationsTakePolls = polls;
    }

    /** Sets the status that new operations end with, and the error or null. */
    synchronized void operationsEnd(String status, String error) {
        operationsEndStatus = status;
        operationsEndError = error;
    }

    /** Sets how long each state of a masking but the last lasts, and how often a client must ask for it. */
    synchronized void maskingTakes(Duration duration, int polls) {
        maskingTakes = duration;
        maskingTakesPolls = polls;
    }

    /** Makes the next maskings end in the state {@code initialization_error} or {@code error}; -1 times stands for all. */
    synchronized void maskingFails(String state, String message, int times) {
        maskingErrorState = state;
        maskingError = message;
        maskingErrors = times;
    }

    // For the stand-ins.

    /** Creates a branch with databases of its own. Without a name, its id is its name. */
    SandboxBranch create(String name, SandboxBranch parent, boolean schemaOnly, List<SandboxBranch.Compute> computes) {
        String id = id("br");
        SandboxBranch branch = new SandboxBranch(id, name == null ? id : name, schemaOnly ? null : parent.id);
        branch.initSource = schemaOnly ? "schema-only" : "parent-data";
        branch.passwords = parent.isProtected ? passwords(parent.passwords.keySet()) : parent.passwords;
        branch.databases = parent.databases;
        branch.computes = List.copyOf(computes);
        if (postgres != null) {
            postgres.create(branch, parent, schemaOnly);
        }
        branches.put(branch.id, branch);
        return branch;
    }

    /** Deletes a branch and its databases without any check. */
    void drop(SandboxBranch branch) {
        branches.remove(branch.id);
        if (postgres != null) {
            postgres.drop(branch);
        }
    }

    /** Replaces the databases of a branch with those of the source. */
    void reset(SandboxBranch branch, SandboxBranch source) {
        if (postgres != null) {
            postgres.reset(branch, source);
        }
        branch.lastResetAt = SandboxBranch.now();
        branch.updatedAt = branch.lastResetAt;
    }

    /** Starts an operation; {@code endpointId} is the compute that it concerns, or null. */
    SandboxOperation start(String action, String branchId, String endpointId) {
        SandboxOperation operation = new SandboxOperation(action, branchId, endpointId, operationsTake, operationsTakePolls,
                operationsEndStatus, operationsEndError);
        operations.put(operation.id, operation);
        return operation;
    }

    /** Returns an operation that lasts as long as a state of a branch's masking. No list of operations includes it. */
    SandboxOperation maskingPhase(SandboxBranch branch) {
        return new SandboxOperation("mask", branch.id, null, maskingTakes, maskingTakesPolls, "finished", null);
    }

    /** Returns the message of the error to simulate, if a masking is to end in this state, or null. */
    String maskingError(String state) {
        if (!state.equals(maskingErrorState) || maskingErrors == 0) {
            return null;
        }
        maskingErrors--;
        return maskingError;
    }

    /** Throws IllegalStateException with PostgreSQL's message if a rule cannot be applied. */
    void mask(SandboxBranch branch, List<SandboxMasking.Rule> rules) {
        if (postgres != null) {
            postgres.mask(branch, rules);
        }
    }

    /** Returns {@code init} or {@code resetting} while operations of the branch run, then {@code ready}, unless a test has set a state. */
    String state(SandboxBranch branch) {
        if (branch.state != null) {
            return branch.state;
        }
        boolean isBusy = operations.values().stream().anyMatch(operation ->
                operation.branchId.equals(branch.id) && "create_branch".equals(operation.action) && !operation.isOver());
        return !isBusy ? "ready" : branch.lastResetAt == null ? "init" : "resetting";
    }

    boolean isStarted(SandboxBranch.Compute compute) {
        return operations.values().stream().noneMatch(operation -> compute.id().equals(operation.endpointId) && !operation.isOver());
    }

    /** Returns the host of a compute. A pooled connection has {@code -pooler} after the compute's id. */
    String host(SandboxBranch.Compute compute, boolean pooled) {
        // The form of Neon's hosts, cell included, in a domain that cannot exist. The address of a real server holds no id.
        String host = postgres != null ? SandboxPostgres.HOST : compute.id() + ".c-3.eu-central-1.aws.neon.invalid";
        return pooled ? host.replace(compute.id(), compute.id() + "-pooler") : host;
    }

    /** Returns a connection string. The role, the database and a read-write compute must exist. */
    String uri(SandboxBranch branch, String role, String database, boolean pooled) {
        String uri = postgres != null ? postgres.uri(branch, role, database)
                : "postgresql://%s:%s@%s/%s?sslmode=require&channel_binding=require".formatted(SdkHttpUtils.urlEncode(role),
                        SdkHttpUtils.urlEncode(branch.passwords.get(role)), host(branch.readWriteCompute().orElseThrow(), pooled),
                        SdkHttpUtils.urlEncode(database));
        secrets.accept(uri);
        return uri;
    }

    private Map<String, String> passwords(Iterable<String> roles) {
        Map<String, String> passwords = new LinkedHashMap<>();
        for (String role : roles) {
            String password = passwordGenerator.get();
            secrets.accept(password);
            secrets.accept(SdkHttpUtils.urlEncode(password));
            passwords.put(role, password);
        }
        return Collections.unmodifiableMap(passwords);
    }

    /** Returns a password in the form of Neon's, plus characters that are special in a URL or a shell. */
    private String randomPassword() {
        byte[] bytes = new byte[9];
        new SecureRandom().nextBytes(bytes);
        return "npg_" + Base64.getUrlEncoder().encodeToString(bytes) + "@:/?#%&+ $'\"`";
    }

    /** Returns a compute for a new branch; the suspend timeout is in seconds, 0 for the default and -1 for never. */
    SandboxBranch.Compute compute(String type, long suspendTimeout) {
        return new SandboxBranch.Compute(id("ep"), type, suspendTimeout, SandboxBranch.now(), false);
    }

    private String id(String prefix) {
        return "%s-%s-%s-%08x".formatted(prefix, ADJECTIVES.get(random.nextInt(ADJECTIVES.size())),
                NOUNS.get(random.nextInt(NOUNS.size())), random.nextInt());
    }

    SandboxBranch defaultBranch() {
        return branches().stream().filter(branch -> branch.isDefault).findFirst().orElseThrow();
    }

    boolean hasChild(SandboxBranch branch) {
        return branches.values().stream().anyMatch(other -> branch.id.equals(other.parentId));
    }
}
