import com.fasterxml.jackson.databind.JsonNode;
import java.time.Instant;
import java.util.List;

/**
 * The masking of an anonymised branch. It goes on when someone asks for its state, and the rows are production's until it is done: whoever
 * does not ask gets them as they are.
 */
final class SandboxMasking {

    /** A column to mask; of the function and the value one is null. */
    record Rule(String database, String schema, String table, String column, String function, String value) {

        /** Reads a rule in Neon's form. */
        static Rule of(JsonNode rule) {
            return new Rule(rule.path("database_name").asText(), rule.path("schema_name").asText(), rule.path("table_name").asText(),
                    rule.path("column_name").asText(), rule.path("masking_function").asText(null), rule.path("masking_value").asText(null));
        }
    }

    /** How maskings go wrong: {@code left} counts down to 0, or is below 0 for ever. */
    static final class Failure {
        static final Failure NONE = new Failure("", "", 0);

        private final String state;
        private final String message;
        private int left;

        Failure(String state, String message, int times) {
            this.state = state;
            this.message = message;
            this.left = times;
        }

        private boolean happensAs(String failed) {
            return failed.equals(state) && left != 0 && left-- != 0;
        }
    }

    final Instant createdAt = SandboxBranch.now();

    private final SandboxNeon neon;
    private final SandboxBranch branch;
    private boolean isWanted;
    private SandboxOperation phase;

    volatile List<Rule> rules;
    volatile String state;
    volatile String message;
    volatile Instant updatedAt;

    /** @param isWanted whether masking begins by itself as soon as the branch is prepared for it */
    SandboxMasking(SandboxNeon neon, SandboxBranch branch, List<Rule> rules, boolean isWanted) {
        this.neon = neon;
        this.branch = branch;
        this.rules = rules;
        this.isWanted = isWanted;
        enter("created", "Preparing the branch");
    }

    /** Takes these rules in place of its own. Returns whether that can be done in the present state. */
    boolean replaceRules(List<Rule> replacement) {
        boolean can = List.of("initialized", "error", "anonymized").contains(state);
        if (can) {
            rules = replacement;
        }
        return can;
    }

    /** Begins to mask. Returns whether that can be done in the present state. */
    boolean begin() {
        boolean can = List.of("initialized", "error", "anonymized").contains(state);
        if (can) {
            enter("anonymizing", "Anonymizing " + rules.size() + " columns");
        }
        return can;
    }

    /** Counts that someone asked for the state, and goes on to what follows it if it has lasted long enough. */
    void polled() {
        phase.polled();
        while (phase.isOver()) {
            String before = state;
            proceed();
            if (before.equals(state)) {
                return;
            }
        }
    }

    private void proceed() {
        switch (state) {
            case "created" -> {
                if (neon.maskingFailure.happensAs("initialization_error")) {
                    enter("initialization_error", neon.maskingFailure.message);
                } else {
                    enter("initialized", "Ready to anonymize");
                }
            }
            case "initialized" -> {
                if (isWanted) {
                    begin();
                }
            }
            case "anonymizing" -> finish();
            default -> {
                // Masked or failed, it stays so until it is begun anew.
            }
        }
    }

    private void finish() {
        if (neon.maskingFailure.happensAs("error")) {
            enter("error", neon.maskingFailure.message);
            return;
        }
        try {
            neon.mask(branch, rules);
            enter("anonymized", "Anonymized " + rules.size() + " columns");
        } catch (IllegalStateException e) {
            enter("error", e.getMessage());
        }
    }

    private void enter(String entered, String told) {
        state = entered;
        message = told;
        updatedAt = SandboxBranch.now();
        phase = neon.maskingPhase(branch);
    }
}
