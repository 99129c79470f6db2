/**
 * A failure that neon-ci expects: its message is one sentence for the build log that says what failed, where, and what to do next.
 * The command line prints the message alone and exits with 1; any other exception is a bug of ours and keeps its stack trace.
 */
class Failure extends RuntimeException {

    Failure(String sentence) {
        super(sentence);
    }

    Failure(String sentence, Throwable cause) {
        super(sentence, cause);
    }

    /** Returns the failure of a run whose thread is not to wait any longer. */
    static Failure interrupted(InterruptedException e) {
        return new Failure("Interrupted; run again, which goes on where this run stopped.", e);
    }
}
