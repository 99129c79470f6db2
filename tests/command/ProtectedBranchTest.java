//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A command line that serves all branches neither resets nor lets expire what must not be lost; all others do as it says. */
class ProtectedBranchTest extends InSandbox {

    private static final Instant IN_A_DAY = Instant.now().plus(Duration.ofDays(1)).truncatedTo(ChronoUnit.SECONDS);

    @ParameterizedTest(name = "{0}: {1}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            main                   | 'main' is always kept
            dev                    | 'dev' is always kept
            default                | it is the project's default branch
            protected              | it is protected
            main_old_1767225600    | it is Neon's backup of 'd1a2b3c4d5e6f7-main'
            dev (old)              | it is Neon's backup of 'd1a2b3c4d5e6f7-dev'
            """)
    void what_must_not_be_lost_is_neither_reset_nor_does_it_expire_and_the_run_goes_on(String branch, String reason) throws IOException {
        SandboxBranch there = sandbox.neon().add(SandboxAws.APP_ID + "-" + branch);
        switch (branch) {
            case "default" -> sandbox.neon().makeDefault(there.id);
            case "protected" -> there.makeProtected();
            default -> { }
        }
        Cli.Result result = create("--branch-name", branch, "--reset", "--expires-in", "7d");
        assertTrue(result.out().contains("\nNot letting it expire: " + reason + ".\nNot resetting it: " + reason + ".\nWrote "),
                result.out());
        assertEquals(0, result.exitCode(), result.err());
        assertNull(there.expiresAt);
        assertEquals(List.of(), changes());
        assertTrue(Files.readString(envFile).contains(sandbox.neon().connectionString(there.id)));
    }

    @Test
    void a_developers_own_branch_is_reset_and_expires_as_its_line_says() {
        create("--branch-name", "local/alice");
        Cli.Result result = create("--branch-name", "local/alice", "--reset", "--expires-in", "7d");
        assertTrue(result.out().contains("\nIt expires on ") && result.out().contains("\nReset it to "), result.out());
    }

    @Test
    void a_new_branch_that_always_stays_gets_no_date_of_death() {
        String said = create("--branch-name", "main", "--expires-in", "7d").out();
        assertTrue(said.contains("\nNot letting it expire: 'main' is always kept.\n"), said);
        assertNull(sandbox.neon().branch(SandboxAws.APP_ID + "-main").expiresAt);
    }

    @Test
    void a_date_of_death_that_an_earlier_run_left_is_taken_back() {
        for (String branch : List.of("main", "feature/x")) {
            SandboxBranch there = sandbox.neon().add(SandboxAws.APP_ID + "-" + branch).expiresAt(IN_A_DAY);
            assertTrue(create("--branch-name", branch).out().contains("\nIt does not expire any more.\n"));
            assertNull(there.expiresAt);
        }
    }

    @Test
    void a_parent_cannot_expire_and_the_run_goes_on() {
        SandboxBranch there = sandbox.neon().add(SandboxAws.APP_ID + "-x");
        sandbox.neon().add("child", there.id);
        assertTrue(create("--branch-name", "x", "--expires-in", "7d").out().contains("\nNot letting it expire: it has a child branch.\n"));
        assertEquals(List.of(), changes());
    }

    @Test
    void a_branch_that_has_expired_already_is_not_handed_out() {
        Instant past = Instant.now().minusSeconds(5).truncatedTo(ChronoUnit.SECONDS);
        sandbox.neon().add(SandboxAws.APP_ID + "-x").expiresAt(past);
        Cli.Result result = create("--branch-name", "x");
        assertEquals("neon-ci: Neon branch 'd1a2b3c4d5e6f7-x' expired on " + past + " and is about to be deleted by Neon; run again in a"
                + " minute, which makes it anew.\n", result.err());
        assertEquals(1, result.exitCode());
        assertEquals(List.of(), changes());
    }

}
