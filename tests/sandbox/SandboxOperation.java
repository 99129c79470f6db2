import java.time.Duration;
import java.time.Instant;
import java.util.UUID;

/** Work that Neon does after its answer, such as starting a compute. It ends after some time and after a number of polls. */
final class SandboxOperation {

    final String id = UUID.randomUUID().toString();
    final String action;
    final String branchId;
    final String endpointId;
    final Instant createdAt = SandboxBranch.now();

    private final long endsAtNanos;
    private final String endStatus;
    private final String endError;
    private int pollsLeft;

    /**
     * @param endpointId the compute that it concerns, or null
     * @param polls how often a client must ask about it before it ends
     * @param endError the error that it ends with, or null
     */
    SandboxOperation(String action, String branchId, String endpointId, Duration takes, int polls, String endStatus, String endError) {
        this.action = action;
        this.branchId = branchId;
        this.endpointId = endpointId;
        this.endsAtNanos = System.nanoTime() + takes.toNanos();
        this.pollsLeft = polls;
        this.endStatus = endStatus;
        this.endError = endError;
    }

    /** Counts a poll. */
    synchronized void polled() {
        pollsLeft--;
    }

    synchronized boolean isOver() {
        return pollsLeft <= 0 && System.nanoTime() >= endsAtNanos;
    }

    String status() {
        return isOver() ? endStatus : "running";
    }

    String error() {
        return isOver() ? endError : null;
    }
}
