import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * One branch of the sandbox's Neon project, for tests to set up and to look at. Its fields hold unmodifiable values, so that the
 * server's threads and a test's may read them at any time.
 */
final class SandboxBranch {

    /** A branch's compute; {@code suspendTimeout} is in seconds, 0 for the default and -1 for never. */
    record Compute(String id, String type, long suspendTimeout, Instant createdAt, boolean isDisabled) {
    }

    /** The branch's id, {@code br-…}. It never changes. */
    final String id;

    volatile String name;

    /** The id of the branch this one was made from, or null for a root branch. */
    volatile String parentId;

    /** The state a test has set, or null: then operations that are under way decide. */
    volatile String state;

    volatile boolean isDefault;
    volatile boolean isProtected;
    volatile String initSource = "parent-data";
    volatile Instant createdAt = now();
    volatile Instant updatedAt = createdAt;
    volatile Instant expiresAt;
    volatile Instant lastResetAt;

    /** The annotation's value, empty if there is none. */
    volatile Map<String, String> annotation = Map.of();

    /** Passwords by role, in the order the roles are listed. */
    volatile Map<String, String> passwords = Map.of();

    /** Owners by database, in the order the databases are listed. */
    volatile Map<String, String> databases = Map.of();

    volatile List<Compute> computes = List.of();

    /** How the branch is masked, or null if it is no anonymised branch. */
    volatile SandboxMasking masking;

    SandboxBranch(String id, String name, String parentId) {
        this.id = id;
        this.name = name;
        this.parentId = parentId;
    }

    SandboxBranch makeProtected() {
        isProtected = true;
        return this;
    }

    /** Keeps the branch in this state, such as {@code init} or {@code archived}, whatever its operations do. Null ends that. */
    SandboxBranch state(String state) {
        this.state = state;
        return this;
    }

    SandboxBranch expiresAt(Instant expiresAt) {
        this.expiresAt = expiresAt;
        return this;
    }

    SandboxBranch createdAt(Instant createdAt) {
        this.createdAt = createdAt;
        updatedAt = createdAt;
        return this;
    }

    /** Moves the branch's times this much into the past. */
    void age(Duration time) {
        createdAt = createdAt.minus(time);
        updatedAt = updatedAt.minus(time);
        expiresAt = expiresAt == null ? null : expiresAt.minus(time);
        lastResetAt = lastResetAt == null ? null : lastResetAt.minus(time);
    }

    SandboxBranch withoutCompute() {
        computes = List.of();
        return this;
    }

    /** Lets nobody connect to the branch's read-write compute. */
    SandboxBranch disableCompute() {
        computes = computes.stream().map(compute -> !"read_write".equals(compute.type()) ? compute
                : new Compute(compute.id(), compute.type(), compute.suspendTimeout(), compute.createdAt(), true)).toList();
        return this;
    }

    /** Gives the branch these databases in place of what it has, all owned by its first role. */
    SandboxBranch databases(String... names) {
        String owner = passwords.keySet().stream().findFirst().orElse("neondb_owner");
        databases = Arrays.stream(names).collect(Collectors.collectingAndThen(
                Collectors.toMap(name -> name, name -> owner, (a, b) -> a, LinkedHashMap::new), Collections::unmodifiableMap));
        return this;
    }

    /** Returns the time as Neon tells it, in whole seconds. */
    static Instant now() {
        return Instant.now().truncatedTo(ChronoUnit.SECONDS);
    }
}
