import java.time.Duration;

/**
 * When a run has to end, by a clock that nobody can set back.
 *
 * @param nanos the moment, in {@link System#nanoTime} terms
 */
record Deadline(long nanos) {

    private static final Duration SHORTEST = Duration.ofSeconds(1);

    static Deadline in(Duration time) {
        return new Deadline(System.nanoTime() + time.toNanos());
    }

    /** Returns the time that is left; negative when it is over. */
    Duration left() {
        return Duration.ofNanos(nanos - System.nanoTime());
    }

    /** Tells whether an exchange that begins now may end after the run has to. */
    boolean isTooLate() {
        return left().compareTo(SHORTEST) < 0;
    }

    /** Returns the usual limit of one exchange, or less, so that there is time to try again before the run has to end. */
    Duration limit(Duration usual) {
        Duration half = left().dividedBy(2);
        return half.compareTo(usual) > 0 ? usual : half.compareTo(SHORTEST) > 0 ? half : SHORTEST;
    }
}
