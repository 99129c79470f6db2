//SOURCES Cli.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A command line that serves all branches neither resets nor lets expire what must not be lost; all others do as it says. */
class ProtectedBranchTest {

    private static final Instant IN_A_DAY = Instant.now().plus(Duration.ofDays(1)).truncatedTo(ChronoUnit.SECONDS);

    @TempDir
    Path folder;

    private Sandbox sandbox;

    @BeforeEach
    void start() {
        sandbox = Sandbox.withoutPostgres();
        sandbox.neon().operationsTake(Duration.ZERO);
    }

    @AfterEach
    void stop() {
        sandbox.close();
    }

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
        Cli.Result result = create(branch, "--reset", "--expires-in", "7d");
        assertTrue(result.out().contains("\nNot letting it expire: " + reason + ".\nNot resetting it: " + reason + ".\nWrote "), result.out());
        assertEquals(0, result.exitCode(), result.err());
        assertNull(there.expiresAt);
        assertEquals(List.of(), changes());
        assertTrue(Files.readString(folder.resolve(".env")).contains(sandbox.neon().connectionString(there.id)));
    }

    @Test
    void a_new_branch_that_always_stays_gets_no_date_of_death() {
        assertTrue(create("main", "--expires-in", "7d").out().contains("\nNot letting it expire: 'main' is always kept.\n"));
        assertNull(sandbox.neon().branch(SandboxAws.APP_ID + "-main").expiresAt);
    }

    @Test
    void a_date_of_death_that_an_earlier_run_left_is_taken_back() {
        for (String branch : List.of("main", "feature/x")) {
            SandboxBranch there = sandbox.neon().add(SandboxAws.APP_ID + "-" + branch).expiresAt(IN_A_DAY);
            assertTrue(create(branch).out().contains("\nIt does not expire any more.\n"));
            assertNull(there.expiresAt);
        }
    }

    @Test
    void a_parent_cannot_expire_and_the_run_goes_on() {
        SandboxBranch there = sandbox.neon().add(SandboxAws.APP_ID + "-x");
        sandbox.neon().add("child", there.id);
        assertTrue(create("x", "--expires-in", "7d").out().contains("\nNot letting it expire: it has a child branch.\n"));
        assertEquals(List.of(), changes());
    }

    @Test
    void a_branch_that_has_expired_already_is_not_handed_out() {
        Instant past = Instant.now().minusSeconds(5).truncatedTo(ChronoUnit.SECONDS);
        sandbox.neon().add(SandboxAws.APP_ID + "-x").expiresAt(past);
        Cli.Result result = create("x");
        assertEquals("neon-ci: Neon branch 'd1a2b3c4d5e6f7-x' expired on " + past + " and is about to be deleted by Neon; run again in a minute,"
                + " which makes it anew.\n", result.err());
        assertEquals(1, result.exitCode());
        assertEquals(List.of(), changes());
    }

    private Cli.Result create(String branch, String... more) {
        List<String> all = new ArrayList<>(List.of("--branch-name", branch));
        all.addAll(List.of(more));
        return Cli.create(sandbox, folder.resolve(".env"), all.toArray(String[]::new));
    }

    private List<Exchange> changes() {
        return sandbox.exchanges().stream().filter(exchange -> exchange.path().startsWith("/api/") && !exchange.method().equals("GET")).toList();
    }
}
