//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
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

/** What {@code create-branch --masking-rules} does: nobody is handed a branch that may hold unmasked rows. */
class MaskedBranchTest extends InSandbox {

    private static final String OLD = "DATABASE_URL=old\n";

    private Path rules;

    @BeforeEach
    void start() throws IOException {
        Files.writeString(envFile, OLD);
        rules = rules();
        sandbox.neon().maskingTakes(Duration.ZERO, 2);
    }

    @AfterEach
    void was_asked_for_no_connection_string_before_the_masking() {
        // Whatever a test did: no connection string was asked for before Neon had called the branch masked.
        boolean isMasked = false;
        for (Exchange exchange : sandbox.exchanges()) {
            isMasked |= exchange.responseBody().contains("\"state\":\"anonymized\"");
            assertTrue(isMasked || !exchange.path().endsWith("/connection_uri"), sandbox.exchanges()::toString);
        }
    }

    @Test
    void makes_a_branch_like_any_other_and_masks_it() throws IOException {
        String staging = sandbox.neon().add("staging").id;
        Cli.Result result = create("--parent-branch", "staging", "--expires-in", "7d", "--suspend-timeout", "120");
        assertEquals("""
                Created Neon branch 'd1a2b3c4d5e6f7-feature/login' (%s) from 'staging'.
                It is masked.
                Wrote DATABASE_URL and DATABASE_URL_UNPOOLED to %s.
                """.formatted(branch().id, envFile), result.out());
        assertEquals("", result.err());
        assertEquals(Cli.written(sandbox, Cli.BRANCH), Files.readString(envFile));

        JsonNode request = Cli.json(requests("POST", "/branch_anonymized$").get(0).requestBody());
        assertEquals(Cli.RULES, request.path("masking_rules").toString());
        assertTrue(request.path("start_anonymization").asBoolean());
        assertEquals("feature/login", branch().annotation.get("amplify-branch"));
        assertEquals(staging, branch().parentId);
        assertEquals(120, branch().computes.get(0).suspendTimeout());
        assertTrue(branch().expiresAt != null);
        assertEquals(List.of(), requests("POST", "/anonymize$"));
    }

    @Test
    void uses_a_masked_branch_again_as_it_is() {
        create();
        Cli.Result again = create();
        assertEquals("""
                Reusing Neon branch 'd1a2b3c4d5e6f7-feature/login' (%s), made from 'production'.
                It is masked.
                Wrote DATABASE_URL and DATABASE_URL_UNPOOLED to %s.
                """.formatted(branch().id, envFile), again.out());
        assertEquals(List.of(), requests("POST|PATCH", "/(anonymize|masking_rules)$"));
    }

    @Test
    void waits_with_neons_own_words_and_no_longer_than_it_was_given() throws IOException {
        sandbox.neon().maskingTakes(Duration.ofHours(1), 0);
        Cli.Result result = create("--wait", "4s");
        assertTrue(result.err().matches("""
                (Waiting for Neon branch 'd1a2b3c4d5e6f7-feature/login' to be masked: it is created, Preparing the branch\\.
                )+neon-ci: Neon branch 'd1a2b3c4d5e6f7-feature/login' is not masked yet \\(it is created, Preparing the branch\\); run \
                again, \
                which goes on with the same branch, or give it longer with --wait\\.
                """), result.err());
        assertRefused(result);
        sandbox.neon().maskingTakes(Duration.ZERO, 0);
        sandbox.neon().remove(Cli.BRANCH);
        assertEquals(0, create().exitCode());
    }

    @Test
    void a_run_goes_on_with_a_branch_that_another_is_having_masked() {
        Cli.addMasked(sandbox, Cli.RULES, true);
        assertEquals(0, create().exitCode());
        assertEquals(List.of(), requests("POST", ""));
    }

    @Test
    void a_branch_is_refused_when_the_file_has_a_column_that_it_has_no_rule_for() throws IOException {
        Cli.addMasked(sandbox, Cli.RULES.replace("\"name\"", "\"phone\""), true).state = "anonymized";
        Cli.Result result = create();
        assertTrue(result.err().contains("holds rows that " + rules + " would mask"), result.err());
        assertRefused(result);
    }

    @Test
    void a_masking_that_failed_is_not_handed_out() throws IOException {
        sandbox.neon().maskingFails("error", "column \"e_mail\" does not exist", 1);
        for (String run : List.of("new", "reused")) {
            Cli.Result failed = create();
            assertTrue(failed.err().contains("Neon could not mask branch '" + Cli.BRANCH + "': column \"e_mail\" does not exist; mend"),
                    failed.err());
            assertRefused(failed);
        }
    }

    @Test
    void a_branch_that_could_not_be_made_ready_is_to_be_deleted() throws IOException {
        sandbox.neon().maskingFails("initialization_error", "no extension anon", 1);
        for (String run : List.of("new", "reused")) {
            Cli.Result failed = create();
            assertTrue(failed.err().contains("Neon could not mask branch '" + Cli.BRANCH + "': no extension anon; mend the rules"), run);
            assertRefused(failed);
        }
        sandbox.neon().remove(Cli.BRANCH);
        assertEquals(0, create().exitCode());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            feature/login
            main
            """)
    void refuses_a_branch_that_is_not_to_be_masked(String amplifyBranch) throws IOException {
        sandbox.neon().add(SandboxAws.APP_ID + "-" + amplifyBranch);
        for (String run : List.of("--dry-run", "--verbose")) {
            Cli.Result result = create("--branch-name", amplifyBranch, run);
            assertTrue(result.err().contains("neon-ci: Neon branch '" + SandboxAws.APP_ID + "-" + amplifyBranch + "' holds rows that "),
                    result.err());
            assertRefused(result);
        }
    }

    @Test
    void refuses_an_unmasked_branch_that_another_build_made_meanwhile() throws IOException {
        sandbox.when("POST", "/branch_anonymized$", () -> sandbox.neon().add(Cli.BRANCH));
        Cli.Result result = create();
        assertTrue(result.err().contains("holds rows that "), result.err());
        assertRefused(result);
    }

    @Test
    void takes_no_answer_but_neons_own_for_the_word_that_a_branch_is_not_masked() throws IOException {
        Cli.addMasked(sandbox, Cli.RULES, true);
        sandbox.fail("GET", "/anonymized_status$", -1, Fault.status(404, "<html>", Map.of("Content-Type", "text/html")));
        for (String option : List.of("--masking-rules=" + rules, "--verbose")) {
            Cli.Result result = Cli.create(sandbox, envFile, option);
            String error = "neon-ci: Could not read how Neon branch " + branch().id + " is masked: Neon answered 404";
            assertTrue(result.err().contains(error), result.err());
            assertRefused(result);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"--masking-rules=rules", "--verbose"})
    void hands_out_no_branch_whose_masking_is_in_a_state_that_is_not_known(String option) throws IOException {
        Cli.addMasked(sandbox, Cli.RULES, true).state = "paused";
        Cli.Result result = Cli.create(sandbox, envFile, option.replace("=rules", "=" + rules), "--wait", "1s");
        assertTrue(result.err().contains("is not masked yet (it is paused, "), result.err());
        assertRefused(result);
    }

    @Test
    void a_run_without_the_option_waits_for_a_branch_that_is_being_masked_and_asks_nothing_about_others() {
        Cli.addMasked(sandbox, Cli.RULES, true);
        assertEquals(0, Cli.create(sandbox, envFile).exitCode());
        assertEquals("anonymized", branch().masking.state);
        int asked = requests("GET", "/anonymized_status$").size();
        sandbox.neon().add(SandboxAws.APP_ID + "-other");
        assertEquals(0, Cli.create(sandbox, envFile, "--branch-name", "other").exitCode());
        assertEquals(asked, requests("GET", "/anonymized_status$").size());
    }

    @Test
    void a_run_without_the_option_does_not_hand_out_what_could_not_be_masked() throws IOException {
        Cli.addMasked(sandbox, Cli.RULES, false).state = "error";
        Cli.Result result = Cli.create(sandbox, envFile);
        assertTrue(result.err().startsWith("neon-ci: Neon could not mask branch '"), result.err());
        assertRefused(result);
        assertEquals(List.of(), requests("POST", ""));
    }

    @Test
    void says_that_a_masked_branch_cannot_be_reset_before_it_asks() throws IOException {
        Cli.addMasked(sandbox, Cli.RULES, true).state = "anonymized";
        Cli.Result result = Cli.create(sandbox, envFile, "--reset");
        assertTrue(result.err().endsWith("neon-ci: Could not reset Neon branch '" + Cli.BRANCH + "': it cannot be reset, as no masked"
                + " branch can; delete it in the Neon Console, and the next run makes it anew, or run without --reset.\n"), result.err());
        assertRefused(result);
        assertEquals(1, requests(".*", "").size());
        assertEquals(2, create("--reset").exitCode());
    }

    @Test
    void production_is_never_masked_and_its_build_does_not_fail_for_the_rules() throws IOException {
        Files.writeString(rules, "no rules");
        Cli.Result result = create("--branch-name", "main", "--production-branch", "main");
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(Cli.written(sandbox, "production"), Files.readString(envFile));
        assertEquals(List.of(), changes());
        // Its connection strings are the only ones that are asked for without a masking.
        sandbox.forgetExchanges();
    }

    @ParameterizedTest
    @ValueSource(strings = {"--dry-run", "--verbose"})
    void reads_the_rules_before_anything_is_asked(String run) throws IOException {
        Files.writeString(rules, "[{}]");
        Cli.Result result = create(run);
        assertEquals("neon-ci: Could not take masking rules from " + rules + ": rule 1 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in"
                + " quotes; mend this, or name"
                + " another file with --masking-rules.\n", result.err());
        assertRefused(result);
        assertEquals(List.of(), sandbox.exchanges());
    }

    @Test
    void does_not_mask_a_branch_without_rows() throws IOException {
        Cli.Result result = create("--schema-only");
        assertTrue(result.err().startsWith("neon-ci: Option '--masking-rules' excludes '--schema-only'"), result.err());
        assertEquals(2, result.exitCode());
        assertEquals(List.of(), sandbox.exchanges());
    }

    @Test
    void a_dry_run_says_that_it_would_mask_and_does_not() {
        String created = create("--dry-run").out();
        assertTrue(created.startsWith("Would create Neon branch '" + Cli.BRANCH + "' from 'production', mask it, and write the "), created);
        assertEquals(List.of(), changes());
    }

    @Override
    Cli.Result create(Map<String, String> changes, String... more) {
        return super.create(changes, Stream.concat(Stream.of("--masking-rules", rules.toString()), Stream.of(more)).toArray(String[]::new));
    }

    private SandboxBranch branch() {
        return sandbox.neon().branch(Cli.BRANCH);
    }

    private void assertRefused(Cli.Result result) throws IOException {
        assertEquals(1, result.exitCode());
        assertEquals(OLD, Files.readString(envFile));
        assertFalse(result.out().contains("Wrote"), result.out());
        assertEquals(List.of(), requests("GET", "/connection_uri$"));
    }

}
