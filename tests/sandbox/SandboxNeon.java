import java.security.SecureRandom;
import java.time.Clock;
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

/**
 * The sandbox's one Neon project: its branches, what runs in it, and how a test wants it to behave. What it says and refuses over HTTP is
 * {@link SandboxNeonApi}'s, which holds this object's lock for each request.
 */
final class SandboxNeon {

    static final String PROJECT_ID = "quiet-sandbox-12345678";

    private static final List<String> ADJECTIVES =
            List.of("aged", "calm", "damp", "fancy", "jolly", "late", "quiet", "raspy", "sweet", "wispy");
    private static final List<String> NOUNS = List.of("art", "bar", "dew", "field", "hill", "mud", "pine", "river", "salad", "violet");

    /** By id, oldest first. */
    final Map<String, SandboxBranch> branches = new LinkedHashMap<>();

    /** By id. */
    final Map<String, SandboxOperation> operations = new LinkedHashMap<>();

    final Instant startedAt = SandboxBranch.now();
    Clock clock = Clock.systemUTC();
    int maximumPageSize = 10_000;
    boolean nextOnLastPage = false;
    int branchesLimit = 5_000;
    int rootBranchesLimit = 25;
    boolean suspendTimeoutAllowed = true;
    boolean oneChangeAtATime = false;
    boolean rateLimited = false;
    int rateLimitViolations = 0;
    SandboxMasking.Failure maskingFailure = SandboxMasking.Failure.NONE;

    private final Random random = new Random();
    private final Consumer<String> secrets;
    private final SandboxPostgres postgres;

    private Supplier<String> passwordGenerator = this::randomPassword;
    private Duration operationsTake = Duration.ofMillis(100);
    private int operationsTakePolls = 0;
    private Duration maskingTakes = Duration.ofMillis(100);
    private int maskingTakesPolls = 0;
    private SandboxOperation.End operationsEnd = SandboxOperation.End.FINISHED;

    /**
     * Starts with the project's default branch, {@code production}, with the role {@code neondb_owner} and the database {@code neondb}.
     *
     * @param secrets is handed every password and connection string
     * @param postgres holds the branches' databases, or null: then connection strings lead nowhere
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

    // What tests and the sandbox's story set up and look at.

    /** Returns all branches, oldest first. */
    synchronized List<SandboxBranch> branches() {
        return List.copyOf(branches.values());
    }

    /** Returns what the branches are called, in the order in which they were made. */
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

    /** Adds a child of the default branch, ready, with a compute, as if someone had made it in Neon's console. */
    SandboxBranch add(String name) {
        return add(name, defaultBranch().name);
    }

    /** Adds a child of another branch, given by its name or id. */
    synchronized SandboxBranch add(String name, String parent) {
        return create(name, branch(parent), false, List.of(compute("read_write", 0)));
    }

    /** Makes this branch, given by its name or id, the project's default branch. */
    synchronized void makeDefault(String nameOrId) {
        SandboxBranch chosen = branch(nameOrId);
        branches.values().forEach(branch -> branch.isDefault = branch == chosen);
    }

    /** Deletes a branch, as if someone had deleted it in Neon's console. */
    synchronized void remove(String nameOrId) {
        drop(branch(nameOrId));
    }

    /** Gives a branch another name, as if someone had done it in Neon's console. */
    synchronized void rename(String nameOrId, String name) {
        branch(nameOrId).name = name;
    }

    /**
     * Leaves what an instant restore of a branch to its present state leaves: a backup beside it, which its children have as their parent
     * from now on. Returns the backup.
     */
    synchronized SandboxBranch restoreInstantly(String nameOrId) {
        SandboxBranch branch = branch(nameOrId);
        SandboxBranch backup = create(branch.name + "_old_" + SandboxBranch.now(), branch, false, List.of());
        branches.values().stream().filter(child -> child != backup && branch.id.equals(child.parentId))
                .forEach(child -> child.parentId = backup.id);
        backup.parentId = branch.parentId;
        return backup;
    }

    /** Lets this much time pass for all branches: they are so much older, and those that expire within it are gone. */
    synchronized void passTime(Duration time) {
        branches().forEach(branch -> branch.age(time));
        branches().stream().filter(branch -> branch.expiresAt != null && !branch.expiresAt.isAfter(clock.instant())).forEach(this::drop);
    }

    /** Returns the direct connection string of a branch, given by its name or id, for its first role and database. */
    synchronized String connectionString(String nameOrId) {
        SandboxBranch branch = branch(nameOrId);
        return uri(branch, branch.passwords.keySet().iterator().next(), branch.databases.keySet().iterator().next(), false);
    }

    /** Gives a branch these roles in place of what it has, each with a new password. */
    synchronized void roles(String branch, String... names) {
        branch(branch).passwords = passwords(List.of(names));
    }

    /** Makes passwords this way from now on. */
    synchronized void passwords(Supplier<String> generator) {
        passwordGenerator = generator;
    }

    /** Lets each operation run for this long from now on; 0 means that it is over at once. */
    synchronized void operationsTake(Duration duration) {
        operationsTake = duration;
    }

    /** Lets each operation run until it, or its branch, was asked for this many times. */
    synchronized void operationsTakePolls(int polls) {
        operationsTakePolls = polls;
    }

    /** Lets each operation end with this status from now on; the error text, or null, is told with it. */
    synchronized void operationsEnd(String status, String error) {
        operationsEnd = new SandboxOperation.End(status, error);
    }

    /** Lets each state of a masking, before the last, last for this long from now on, and until it was asked for this many times. */
    synchronized void maskingTakes(Duration duration, int polls) {
        maskingTakes = duration;
        maskingTakesPolls = polls;
    }

    /** Lets the next maskings fail; {@code state} is {@code initialization_error} or {@code error}, and -1 times means all of them. */
    synchronized void maskingFails(String state, String message, int times) {
        maskingFailure = new SandboxMasking.Failure(state, message, times);
    }

    /** Gives at most this many branches in a page, whatever is asked for. */
    synchronized void maximumPageSize(int size) {
        maximumPageSize = size;
    }

    /** Lets Neon's clock be ahead of this machine's by this much, or behind it. */
    synchronized void clockSkew(Duration skew) {
        clock = Clock.offset(Clock.systemUTC(), skew);
    }

    /** Sends a next cursor with the last page too: it leads to an empty page that has the same cursor again. */
    synchronized void nextOnLastPage() {
        nextOnLastPage = true;
    }

    /** Refuses to make more branches than this. */
    synchronized void branchesLimit(int limit) {
        branchesLimit = limit;
    }

    /** Refuses to make more root branches than this; schema-only branches are root branches. */
    synchronized void rootBranchesLimit(int limit) {
        rootBranchesLimit = limit;
    }

    /** Refuses every suspend timeout that a request names, as the Free plan does. */
    synchronized void refuseSuspendTimeout() {
        suspendTimeoutAllowed = false;
    }

    /** Answers a change 423 while operations of an earlier one are still running. */
    synchronized void oneChangeAtATime() {
        oneChangeAtATime = true;
    }

    /** Enforces Neon's limits, 40 requests a second for each route and 700 a minute in all, with 429 and Retry-After. */
    synchronized void limitRate() {
        rateLimited = true;
    }

    /** Returns how many requests were answered 429 by {@link #limitRate}. */
    synchronized int rateLimitViolations() {
        return rateLimitViolations;
    }

    // What requests lead to.

    /** Makes a branch with databases of its own; without a name, its id is its name. */
    SandboxBranch create(String name, SandboxBranch parent, boolean schemaOnly, List<SandboxBranch.Compute> computes) {
        String id = id("br");
        SandboxBranch branch = new SandboxBranch(id, name == null ? id : name, schemaOnly ? null : parent.id);
        branch.initSource = schemaOnly ? "schema-only" : "parent-data";
        branch.passwords = passwords(parent.passwords.keySet());
        branch.databases = parent.databases;
        branch.computes = List.copyOf(computes);
        if (postgres != null) {
            postgres.create(branch, parent, schemaOnly);
        }
        branches.put(branch.id, branch);
        return branch;
    }

    /** Deletes a branch and its databases, whatever Neon would say to that. */
    void drop(SandboxBranch branch) {
        branches.remove(branch.id);
        if (postgres != null) {
            postgres.drop(branch);
        }
    }

    /** Puts the source's databases in the place of the branch's. */
    void reset(SandboxBranch branch, SandboxBranch source) {
        if (postgres != null) {
            postgres.reset(branch, source);
        }
        branch.lastResetAt = SandboxBranch.now();
        branch.updatedAt = branch.lastResetAt;
    }

    /** Begins an operation; {@code endpointId} is that of the compute it is about, or null. */
    SandboxOperation start(String action, String branchId, String endpointId) {
        SandboxOperation operation = new SandboxOperation(action, branchId, endpointId, operationsTake, operationsTakePolls, operationsEnd);
        operations.put(operation.id, operation);
        return operation;
    }

    /** Returns what a state of a branch's masking lasts as long as; no list of operations has it. */
    SandboxOperation maskingPhase(SandboxBranch branch) {
        return new SandboxOperation("mask", branch.id, null, maskingTakes, maskingTakesPolls, SandboxOperation.End.FINISHED);
    }

    /** Throws IllegalStateException, with PostgreSQL's words, if a rule cannot be applied. */
    void mask(SandboxBranch branch, List<SandboxMasking.Rule> rules) {
        if (postgres != null) {
            postgres.mask(branch, rules);
        }
    }

    boolean isBusy() {
        return operations.values().stream().anyMatch(operation -> !operation.isOver());
    }

    /** Returns {@code init} or {@code resetting} while operations of the branch run, then {@code ready}, unless a test has set a state. */
    String state(SandboxBranch branch) {
        if (branch.state != null) {
            return branch.state;
        }
        boolean busy = operations.values().stream().anyMatch(operation ->
                operation.branchId.equals(branch.id) && "create_branch".equals(operation.action) && !operation.isOver());
        return !busy ? "ready" : branch.lastResetAt == null ? "init" : "resetting";
    }

    boolean isStarted(SandboxBranch.Compute compute) {
        return operations.values().stream().noneMatch(operation -> compute.id().equals(operation.endpointId) && !operation.isOver());
    }

    /** Returns the branch's read-write compute, or null. */
    static SandboxBranch.Compute readWrite(SandboxBranch branch) {
        return branch.computes.stream().filter(compute -> "read_write".equals(compute.type())).findFirst().orElse(null);
    }

    /** Returns the host that a compute is reached at: the pooler's is the direct one with {@code -pooler} after the compute's id. */
    String host(SandboxBranch.Compute compute, boolean pooled) {
        // The form of Neon's hosts, cell included, under a domain that is certain not to exist. The address of a real server holds no id.
        String host = postgres != null ? SandboxPostgres.HOST : compute.id() + ".c-3.eu-central-1.aws.neon.invalid";
        return pooled ? host.replace(compute.id(), compute.id() + "-pooler") : host;
    }

    /** Returns the connection string of a role to a database of a branch, all of which are there, and a read-write compute too. */
    String uri(SandboxBranch branch, String role, String database, boolean pooled) {
        String uri = postgres != null
                ? postgres.uri(branch, role, database)
                : "postgresql://%s:%s@%s/%s?sslmode=require&channel_binding=require".formatted(SandboxHttp.encode(role),
                        SandboxHttp.encode(branch.passwords.get(role)), host(readWrite(branch), pooled), SandboxHttp.encode(database));
        secrets.accept(uri);
        return uri;
    }

    private Map<String, String> passwords(Iterable<String> roles) {
        Map<String, String> made = new LinkedHashMap<>();
        for (String role : roles) {
            String password = passwordGenerator.get();
            secrets.accept(password);
            secrets.accept(SandboxHttp.encode(password));
            made.put(role, password);
        }
        return Collections.unmodifiableMap(made);
    }

    /** Makes a password as Neon's are, and with characters that a connection string must encode and a shell would act upon. */
    private String randomPassword() {
        byte[] bytes = new byte[9];
        new SecureRandom().nextBytes(bytes);
        return "npg_" + Base64.getUrlEncoder().encodeToString(bytes) + "@:/?#%&+ $'\"`";
    }

    /** Makes a compute for a branch to come; the suspend timeout is in seconds, 0 for the default and -1 for never. */
    SandboxBranch.Compute compute(String type, long suspendTimeout) {
        return new SandboxBranch.Compute(id("ep"), type, suspendTimeout, SandboxBranch.now(), false);
    }

    private String id(String prefix) {
        String tail = Long.toString(random.nextLong(2_821_109_907_456L), 36);
        return prefix + "-" + ADJECTIVES.get(random.nextInt(ADJECTIVES.size())) + "-" + NOUNS.get(random.nextInt(NOUNS.size()))
                + "-" + "0".repeat(8 - tail.length()) + tail;
    }

    SandboxBranch defaultBranch() {
        return branches().stream().filter(branch -> branch.isDefault).findFirst().orElseThrow();
    }

    boolean hasChild(SandboxBranch branch) {
        return branches.values().stream().anyMatch(other -> branch.id.equals(other.parentId));
    }
}
