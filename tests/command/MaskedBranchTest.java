//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code create-branch --masking-rules} does: nobody gets a branch that may contain unmasked data. */
class MaskedBranchTest extends InSandbox {

    private static final String OLD = "DATABASE_URL=old\n";

    private Path rules;

    @BeforeEach
    void start() throws IOException {
        Files.writeString(envFile, OLD);
        rules = rules();
        sandbox.neon().maskingTakes(Duration.ZERO, 2);
    }

    /** Holds for each test, whatever it does. */
    @AfterEach
    void no_connection_string_of_the_branch_was_requested_before_it_was_masked() {
        String id = sandbox.neon().hasBranch(Cli.BRANCH) ? branch().id : "";
        boolean isMasked = false;
        for (Exchange exchange : requests("GET", "/anonymized_status$|/connection_uri$")) {
            isMasked |= exchange.responseBody().contains("\"state\":\"anonymized\"");
            assertTrue(isMasked || !id.equals(exchange.query().get("branch_id")), sandbox.exchanges()::toString);
        }
    }

    @Test
    void creates_the_branch_like_any_other_masks_it_and_reuses_it() throws IOException {
        String staging = sandbox.neon().add("staging").id;
        Cli.Result result = create("--parent-branch", "staging", "--expires-in", "7d", "--suspend-timeout", "120");
        assertEquals(0, result.exitCode(), result.err());
        assertTrue(result.out().contains(" is masked.\n"), result.out());
        assertEquals("", result.err());
        assertEquals(Cli.written(sandbox, Cli.BRANCH), Files.readString(envFile));

        JsonNode request = Cli.json(requests("POST", "/branch_anonymized$").get(0).requestBody());
        assertEquals(Cli.json(Cli.RULES), request.path("masking_rules"));
        assertTrue(request.path("start_anonymization").asBoolean());
        assertEquals("feature/login", branch().annotation.get("amplify-branch"));
        assertEquals(staging, branch().parentId);
        assertEquals(120, branch().computes.get(0).suspendTimeout());
        assertNotNull(branch().expiresAt);

        Cli.Result again = create();
        assertTrue(again.out().startsWith("Reusing ") && again.out().contains(" is masked.\n"), again.out());
        assertEquals(1, requests("POST", "").size());
        assertEquals(List.of(), requests("POST|PATCH", "/(anonymize|masking_rules)$"));
    }

    @Test
    void prints_neons_progress_and_waits_no_longer_than_the_given_time() throws IOException {
        sandbox.neon().maskingTakes(Duration.ofHours(1), 0);
        Cli.Result result = create("--wait", "3s");
        assertTrue(result.err().matches("(?s)Waiting [^\n]*: it is created, Preparing the branch\\.\n.*--wait\\.\n"), result.err());
        assertRefused(result, "not masked yet");
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void waits_for_a_branch_that_another_run_is_masking(boolean isWithRules) {
        Cli.addMasked(sandbox, Cli.RULES, true);
        assertEquals(0, (isWithRules ? create() : createWithoutRules()).exitCode());
        assertEquals("anonymized", branch().masking.state);
        assertEquals(List.of(), requests("POST", ""));
    }

    @Test
    void sends_no_request_about_masking_for_a_branch_without_it() {
        sandbox.neon().add(SandboxAws.APP_ID + "-other");
        assertEquals(0, createWithoutRules("--branch-name", "other").exitCode());
        assertEquals(List.of(), requests("GET", "/anonymized_status$"));
    }

    @ParameterizedTest
    @CsvSource({"error, no column e_mail", "initialization_error, no extension anon"})
    void a_branch_whose_masking_failed_is_not_used(String state, String message) throws IOException {
        sandbox.neon().maskingFails(state, message, 1);
        assertRefused(create(), message);
        for (String run : List.of("--dry-run", "--verbose")) {
            assertRefused(create(run), message);
            assertRefused(createWithoutRules(run), message);
        }
        assertEquals(1, requests("POST", "").size());
    }

    /** The other branch has a rule for another column, another mask for the same column, or no mask at all. */
    @ParameterizedTest
    @CsvSource({"\"name\", \"phone\"", "anon.fake_email(), anon.random_string(8)", "'nobody', ''"})
    void refuses_a_branch_that_was_not_masked_by_all_rules(String rule, String other) throws IOException {
        if (other.isEmpty()) {
            sandbox.neon().add(Cli.BRANCH);
        } else {
            Cli.addMasked(sandbox, Cli.RULES.replace(rule, other), true).state = "anonymized";
        }
        assertRefused(create("--dry-run"), rules.toString());
        assertRefused(create(), rules.toString());
    }

    @Test
    void refuses_an_unmasked_branch_that_another_build_creates_at_the_same_time() throws IOException {
        sandbox.when("POST", "/branch_anonymized$", () -> sandbox.neon().add(Cli.BRANCH));
        assertRefused(create(), rules.toString());
    }

    /** A 404 of a proxy does not say that the branch has no masking. */
    @Test
    void refuses_a_branch_whose_masking_is_unknown() throws IOException {
        Cli.addMasked(sandbox, Cli.RULES, true).state = "paused";
        assertRefused(create("--wait", "3s"), "paused");
        assertRefused(createWithoutRules("--wait", "3s"), "paused");
        sandbox.fail("GET", "/anonymized_status$", -1, Fault.status(404, "<html>", Map.of("Content-Type", "text/html")));
        assertRefused(create(), "404");
        assertRefused(createWithoutRules(), "404");
    }

    @Test
    void a_branch_whose_masking_nobody_started_fails_at_once() throws IOException {
        Cli.addMasked(sandbox, Cli.RULES, false).state = "initialized";
        assertRefused(createWithoutRules(), "start it or delete");
        assertEquals(1, requests("GET", "/anonymized_status$").size());
    }

    /** A copy of a parent that is not masked yet, or whose masking failed, contains production's rows. */
    @ParameterizedTest
    @CsvSource({"anonymizing, new", "initialized, new", "error, new", "initialization_error, new", "error, --reset", "error, --dry-run"})
    void a_branch_is_not_made_from_a_parent_that_is_not_masked(String state, String run) throws IOException {
        sandbox.neon().maskingTakes(Duration.ofHours(1), 0);
        SandboxBranch parent = sandbox.neon().add("golden");
        parent.masking = new SandboxMasking(sandbox.neon(), parent,
                Cli.json(Cli.RULES).valueStream().map(SandboxMasking.Rule::of).toList(), false);
        parent.masking.state = state;
        if (run.equals("--reset")) {
            sandbox.neon().add(Cli.BRANCH);
        }
        assertRefused(createWithoutRules("--parent-branch", "golden", "--wait", "1s", run.equals("new") ? "--verbose" : run), "golden");
        assertEquals(List.of(), changes());
    }

    @ParameterizedTest
    @ValueSource(strings = {"--dry-run", "--verbose"})
    void a_parent_whose_masking_nobody_started_fails_at_once(String run) throws IOException {
        SandboxBranch parent = sandbox.neon().add("golden");
        parent.masking = new SandboxMasking(sandbox.neon(), parent,
                Cli.json(Cli.RULES).valueStream().map(SandboxMasking.Rule::of).toList(), false);
        parent.masking.state = "initialized";
        assertRefused(createWithoutRules("--parent-branch", "golden", "--wait", "1s", run), "golden");
        assertEquals(1, requests("GET", "/anonymized_status$").size());
    }

    @Test
    void a_masked_branch_cannot_be_reset() throws IOException {
        Cli.addMasked(sandbox, Cli.RULES, true).state = "anonymized";
        assertRefused(createWithoutRules("--reset"), "--reset");
        assertEquals(List.of(), changes());
    }

    @ParameterizedTest
    @ValueSource(strings = {"--reset", "--schema-only"})
    void excludes_the_options_that_make_no_sense_for_a_masked_branch(String option) {
        Cli.Result result = create(option);
        assertTrue(result.err().contains("'--masking-rules'") && result.err().contains("'" + option + "'"), result.err());
        assertEquals(2, result.exitCode());
        assertEquals(List.of(), sandbox.exchanges());
    }

    @Test
    void production_is_never_masked_and_needs_no_valid_rules() throws IOException {
        Files.writeString(rules, "no rules");
        Cli.Result result = create("--branch-name", "main", "--production-branch", "main");
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(Cli.written(sandbox, "production"), Files.readString(envFile));
        assertEquals(List.of(), changes());
    }

    @ParameterizedTest
    @ValueSource(strings = {"--dry-run", "--verbose"})
    void reads_the_rules_before_any_request(String run) throws IOException {
        Files.writeString(rules, "[{}]");
        assertRefused(create(run), rules + ": rule 1");
        assertEquals(List.of(), sandbox.exchanges());
    }

    @Test
    void a_dry_run_prints_that_it_would_mask_and_changes_nothing() {
        assertTrue(create("--dry-run").out().contains("mask it"));
        assertEquals(List.of(), changes());
    }

    @Override
    Cli.Result create(Map<String, String> changes, String... more) {
        return super.create(changes, Stream.concat(Stream.of("--masking-rules", rules.toString()), Stream.of(more)).toArray(String[]::new));
    }

    private Cli.Result createWithoutRules(String... more) {
        return Cli.create(sandbox, envFile, more);
    }

    private SandboxBranch branch() {
        return sandbox.neon().branch(Cli.BRANCH);
    }

    private void assertRefused(Cli.Result result, String words) throws IOException {
        assertEquals(1, result.exitCode());
        assertTrue(result.err().contains(words), result.err());
        assertEquals(OLD, Files.readString(envFile));
        assertFalse(result.out().contains("Wrote"), result.out());
    }
}
