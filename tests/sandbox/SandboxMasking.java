import com.fasterxml.jackson.databind.JsonNode;
import java.time.Instant;
import java.util.List;

/** The masking of an anonymised branch. It advances when a client polls its state; until its end the rows are the parent's. */
final class SandboxMasking {

    /** A column to mask, by a function or a value; the other one is null. */
    record Rule(String database, String schema, String table, String column, String function, String value) {

        /** Reads a rule in Neon's form. */
        static Rule of(JsonNode rule) {
            return new Rule(rule.path("database_name").asText(), rule.path("schema_name").asText(), rule.path("table_name").asText(),
                    rule.path("column_name").asText(), rule.path("masking_function").asText(null), rule.path("masking_value").asText(null));
        }
    }

    final Instant createdAt = SandboxBranch.now();

    private final SandboxNeon neon;
    private final SandboxBranch branch;
    private final boolean isWanted;
    private SandboxOperation phase;

    volatile List<Rule> rules;
    volatile String state;
    volatile String message;
    volatile Instant updatedAt;

    /** @param isWanted whether to start masking as soon as the branch is ready for it; otherwise it stays {@code initialized} */
    SandboxMasking(SandboxNeon neon, SandboxBranch branch, List<Rule> rules, boolean isWanted) {
        this.neon = neon;
        this.branch = branch;
        this.rules = rules;
        this.isWanted = isWanted;
        enter("created", "Preparing the branch");
    }

    /** Counts a poll, and enters the next states whose time has come. */
    void polled() {
        phase.polled();
        String before = "";
        while (phase.isOver() && !state.equals(before)) {
            before = state;
            switch (state) {
                case "created" -> enterUnlessFailing("initialized", "Ready to anonymize", "initialization_error");
                case "initialized" -> {
                    if (isWanted) {
                        enter("anonymizing", "Anonymizing " + rules.size() + " columns");
                    }
                }
                case "anonymizing" -> finish();
                default -> { }
            }
        }
    }

    private void finish() {
        try {
            neon.mask(branch, rules);
            enterUnlessFailing("anonymized", "Anonymized " + rules.size() + " columns", "error");
        } catch (IllegalStateException e) {
            enter("error", e.getMessage());
        }
    }

    private void enterUnlessFailing(String entered, String text, String failure) {
        String error = neon.maskingError(failure);
        enter(error == null ? entered : failure, error == null ? text : error);
    }

    private void enter(String entered, String text) {
        state = entered;
        message = text;
        updatedAt = SandboxBranch.now();
        phase = neon.maskingPhase(branch);
    }
}
