import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A branch of the sandbox's Neon project. Its fields hold unmodifiable values, so that any thread may read them at any time. */
final class SandboxBranch {

    /** A compute; the suspend timeout is in seconds, 0 for the default and -1 for never. */
    record Compute(String id, String type, long suspendTimeout, Instant createdAt, boolean isDisabled) {
    }

    final String id;
    volatile String name;

    /** Null for a root branch. */
    volatile String parentId;

    /** The state that a test has set, or null: then running operations decide. */
    volatile String state;

    volatile boolean isDefault;
    volatile boolean isProtected;
    volatile String initSource = "parent-data";
    volatile Instant createdAt = now();
    volatile Instant updatedAt = createdAt;
    volatile Instant expiresAt;
    volatile Instant lastResetAt;
    volatile Map<String, String> annotation = Map.of();

    /** Passwords by role. */
    volatile Map<String, String> passwords = Map.of();

    /** Owners by database. */
    volatile Map<String, String> databases = Map.of();

    volatile List<Compute> computes = List.of();

    /** Null for a branch that is not anonymised. */
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

    /** Keeps the branch in a state such as {@code init} or {@code archived}; null ends that. */
    SandboxBranch state(String newState) {
        state = newState;
        return this;
    }

    SandboxBranch expiresAt(Instant time) {
        expiresAt = time;
        return this;
    }

    /** Makes the branch older by this much. */
    void age(Duration time) {
        createdAt = createdAt.minus(time);
        updatedAt = updatedAt.minus(time);
        expiresAt = expiresAt == null ? null : expiresAt.minus(time);
    }

    SandboxBranch withoutCompute() {
        computes = List.of();
        return this;
    }

    /** Disables all computes, so that nobody can connect. */
    SandboxBranch disableCompute() {
        computes = computes.stream().map(compute ->
                new Compute(compute.id(), compute.type(), compute.suspendTimeout(), compute.createdAt(), true)).toList();
        return this;
    }

    Optional<Compute> readWriteCompute() {
        return computes.stream().filter(compute -> "read_write".equals(compute.type())).findFirst();
    }

    /** Replaces the databases of the branch. Its first role owns them. */
    SandboxBranch databases(String... names) {
        Map<String, String> owners = new LinkedHashMap<>();
        Arrays.stream(names).forEach(name -> owners.put(name, passwords.keySet().iterator().next()));
        databases = owners;
        return this;
    }

    /** Returns the time as Neon shows it, in whole seconds. */
    static Instant now() {
        return Instant.now().truncatedTo(ChronoUnit.SECONDS);
    }
}
