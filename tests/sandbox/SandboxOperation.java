import java.time.Duration;
import java.time.Instant;
import java.util.UUID;

/**
 * Something that Neon does after it has answered, such as starting a compute. It ends after a time, and after it was asked about so often.
 */
final class SandboxOperation {

    /** How an operation ends: with a status, and for a bad one with an error text, else null. */
    record End(String status, String error) {
        static final End FINISHED = new End("finished", null);
    }

    final String id = UUID.randomUUID().toString();
    final String branchId;
    final String endpointId;
    final String action;
    final Instant createdAt = SandboxBranch.now();

    private final long startedNanos = System.nanoTime();
    private final Duration takes;
    private final End end;
    private int pollsLeft;

    /**
     * @param endpointId the compute it is about, or null
     * @param takes how long it runs at least
     * @param polls how often it must have been asked about before it ends
     */
    SandboxOperation(String action, String branchId, String endpointId, Duration takes, int polls, End end) {
        this.action = action;
        this.branchId = branchId;
        this.endpointId = endpointId;
        this.takes = takes;
        this.pollsLeft = polls;
        this.end = end;
    }

    /** Counts that someone asked. */
    synchronized void polled() {
        pollsLeft--;
    }

    synchronized boolean isOver() {
        return pollsLeft <= 0 && System.nanoTime() - startedNanos >= takes.toNanos();
    }

    String status() {
        return isOver() ? end.status() : "running";
    }

    String error() {
        return isOver() ? end.error() : null;
    }

    long milliseconds() {
        return Math.min(takes.toMillis(), (System.nanoTime() - startedNanos) / 1_000_000);
    }
}
