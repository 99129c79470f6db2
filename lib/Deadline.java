import java.time.Duration;

/**
 * When a run has to end, by a clock that nobody can set back.
 *
 * @param nanos the moment, in {@link System#nanoTime} terms
 */
record Deadline(long nanos) {

    /** Why something was not begun any more, in words. */
    static final String OVER = "the time of --wait is over";

    /** What an exchange is given at least. */
    private static final Duration SHORTEST = Duration.ofSeconds(1);

    /** For ever, as far as a run is concerned; nanoseconds end at 292 years. */
    private static final Duration LONGEST = Duration.ofDays(365);

    static Deadline in(Duration time) {
        return new Deadline(System.nanoTime() + (time.compareTo(LONGEST) > 0 ? LONGEST : time).toNanos());
    }

    /** Returns the time that is left; negative when it is over. */
    Duration left() {
        return Duration.ofNanos(nanos - System.nanoTime());
    }

    /** Tells whether there is as much time left as this. */
    boolean lasts(Duration time) {
        return left().compareTo(time) >= 0;
    }

    /** Tells whether there is no time for an exchange and, if its answer is lost, another that looks what became of it. */
    boolean isTooLate() {
        return !lasts(SHORTEST.multipliedBy(2));
    }

    /** Returns the usual limit of one exchange, or less, so that there is time to try again before the run has to end. */
    Duration limit(Duration usual) {
        Duration half = left().dividedBy(2);
        return half.compareTo(usual) > 0 ? usual : half.compareTo(SHORTEST) > 0 ? half : SHORTEST;
    }
}
