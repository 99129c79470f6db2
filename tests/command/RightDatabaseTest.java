//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is written is what the app will read, and is the database that is meant: production's for production, its own for all else. */
class RightDatabaseTest extends InSandbox {

    private static final String OLD = "A=1\n";
    private static final String OTHER = "postgresql://neondb_owner:other@ep-other.aws.neon.invalid/neondb";

    @BeforeEach
    void start() throws IOException {
        Files.writeString(envFile, OLD);
    }

    @Test
    void the_production_branch_uses_productions_own_database_whatever_else_the_line_says() throws IOException {
        Cli.Result result = create("--production-branch", "feature/login", "--reset", "--schema-only", "--expires-in", "7d",
                "--suspend-timeout", "60");
        assertEquals("""
                Using Neon branch 'production' (%s) itself, since 'feature/login' is the production branch.
                Wrote DATABASE_URL and DATABASE_URL_UNPOOLED to %s.
                """.formatted(sandbox.neon().branch("production").id, envFile), result.out());
        assertEquals(Cli.written(sandbox, "production") + OLD, Files.readString(envFile));
        assertEquals(List.of(), changes());

        JsonNode report = Cli.json(create("--production-branch", "feature/login", "--output", "json").out()).path("branch");
        assertEquals("production", report.path("name").asText());
        assertEquals(sandbox.neon().branch("production").id, report.path("id").asText());
        assertFalse(report.path("created").asBoolean());
    }

    @Test
    void the_production_branch_uses_the_parent_that_is_named() throws IOException {
        sandbox.neon().add("staging");
        assertEquals(0, create("--production-branch", "feature/login", "--parent-branch", "staging").exitCode());
        assertEquals(Cli.written(sandbox, "staging") + OLD, Files.readString(envFile));
        assertEquals(List.of(), changes());
    }

    @Test
    void other_branches_are_not_the_production_branch() {
        for (String other : List.of("main", "feature", "Feature/login", "feature/login2")) {
            assertEquals(0, create("--production-branch", other).exitCode());
            assertTrue(sandbox.neon().hasBranch(Cli.BRANCH), other);
            sandbox.neon().remove(Cli.BRANCH);
        }
    }

    @Test
    void the_production_branch_gets_no_compute_made() throws IOException {
        sandbox.neon().branch("production").withoutCompute();
        assertRefused(create("--production-branch", "feature/login"), "Neon branch 'production' has no read-write compute to connect to;"
                + " give it one in the Neon Console, or run again.");
        assertEquals(List.of(), changes());
    }

    @ParameterizedTest(name = "{0}, {1}")
    @CsvSource({"new, DATABASE_URL", "new, DATABASE_URL_UNPOOLED", "new --dry-run, DATABASE_URL", "reused, DATABASE_URL",
            "reused --reset --expires-in 7d, DATABASE_URL_UNPOOLED", "reused --dry-run, DATABASE_URL", "bare, DATABASE_URL",
            "production, DATABASE_URL", "production --dry-run, DATABASE_URL_UNPOOLED"})
    void a_variable_that_would_win_is_refused_before_anything_changes(String run, String variable) throws IOException {
        if (run.startsWith("reused")) {
            sandbox.neon().add(Cli.BRANCH);
        } else if (run.startsWith("bare")) {
            sandbox.neon().add(Cli.BRANCH).withoutCompute();
        }
        String line = run.replace("production", "--production-branch feature/login").replaceFirst("^(new|reused|bare) ?", "");
        Cli.Result result = create(Map.of(variable, OTHER), line.isEmpty() ? new String[0] : line.split(" "));
        assertRefused(result, "The variable " + variable + " is set to something else than this branch's connection string, and the app"
                + " would read it instead of the env file; remove it from the Amplify console's variables, or 'unset " + variable
                + "' before this command.");
        assertFalse(result.out().contains("other") || result.err().contains("ep-other"), "the value is shown");
        assertEquals(List.of(), changes());
    }

    @Test
    void a_variable_that_holds_what_is_written_or_nothing_is_no_conflict() {
        assertEquals(0, create(Map.of("DATABASE_URL", " ", "DATABASE_URL_UNPOOLED", "")).exitCode());
        Map<String, String> sourced = new HashMap<>();
        Cli.written(sandbox, Cli.BRANCH).lines().map(line -> line.replace("\"", "").split("=", 2))
                .forEach(entry -> sourced.put(entry[0], entry[1]));
        for (String more : List.of("--verbose", "--dry-run", "--reset")) {
            assertEquals(0, create(sourced, more).exitCode(), more);
        }
        sandbox.neon().roles(Cli.BRANCH, "neondb_owner");
        assertEquals(1, create(sourced).exitCode(), "a string with an older password");
        assertEquals(0, create(sourced, "--env-var", "PG_URL").exitCode(), "another name is written");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            .env       | .env.local            | DATABASE_URL=x            | DATABASE_URL
            .env       | .env.production       | export DATABASE_URL = 'x' | DATABASE_URL
            .env       | .env.production.local | DATABASE_URL_UNPOOLED=    | DATABASE_URL_UNPOOLED
            .env.local | .env.production       | DATABASE_URL: x           | DATABASE_URL
            .env       | .env.production       | #DATABASE_URL=x           |
            .env       | .env.production       | MY_DATABASE_URL=x         |
            .env       | .env.production       | A="DATABASE_URL=x"        |
            .env       | .env.development      | DATABASE_URL=x            |
            .env.ci    | .env.production       | DATABASE_URL=x            |
            .env.production.local | .env.local | DATABASE_URL=x            |
            """)
    void a_file_that_would_win_is_refused_before_anything_is_asked(String written, String other, String content, String key)
            throws IOException {
        Files.writeString(folder.resolve(other), content + "\n");
        Cli.Result result = Cli.create(sandbox, folder.resolve(written));
        if (key == null) {
            assertEquals(0, result.exitCode(), result.err());
            return;
        }
        assertRefused(result, other + " sets " + key + ", and Next.js and Vite read it instead of " + written
                + "; name it with --env-file too, or remove the entry.");
        assertEquals(List.of(), sandbox.exchanges());
        assertEquals(0, Cli.create(sandbox, folder.resolve(written), "--env-file", folder.resolve(other).toString()).exitCode());
        assertTrue(Files.readString(folder.resolve(other)).contains(sandbox.neon().connectionString(Cli.BRANCH)));
    }

    @Test
    void the_direct_string_goes_to_the_name_that_is_asked_for() throws IOException {
        assertEquals(0, create("--unpooled-env-var", "DIRECT_URL").exitCode());
        assertEquals(Cli.written(sandbox, Cli.BRANCH).replace("DATABASE_URL_UNPOOLED", "DIRECT_URL") + OLD, Files.readString(envFile));
        Cli.Result twice = create("--env-var", "DIRECT_URL", "--unpooled-env-var", "DIRECT_URL");
        assertEquals("neon-ci: Invalid value for option '--unpooled-env-var': it must differ from that of --env-var. See 'neon-ci"
                + " create-branch --help'.\n", twice.err());
        assertEquals(2, twice.exitCode());
    }

    @Test
    void a_branch_is_reset_to_the_parent_that_is_named() {
        sandbox.neon().add("staging");
        sandbox.neon().add(Cli.BRANCH);
        assertTrue(create("--parent-branch", "staging").out().contains(", made from 'production'.\nNot making it anew from"
                + " 'staging'; --reset would bring it there.\n"));
        assertTrue(create("--parent-branch", "staging", "--reset").out().contains("\nReset it to the current state of 'staging';"));
        assertEquals("staging", restoredFrom());
    }

    @Test
    void a_branch_is_not_reset_to_the_backup_of_the_parent_that_is_named() {
        sandbox.neon().add(Cli.BRANCH);
        sandbox.neon().restoreInstantly("production");
        assertTrue(create("--parent-branch", "production", "--reset").out().contains("\nReset it to the current state of 'production';"));
        assertEquals("production", restoredFrom());
    }

    @Test
    void a_parent_that_is_not_there_is_an_error_on_reuse_too() throws IOException {
        sandbox.neon().add(Cli.BRANCH);
        assertRefused(create("--parent-branch", "stagin"), "The Neon project has no branch 'stagin' to branch from;"
                + " check --parent-branch and --neon-project-id.");
        assertEquals(List.of(), changes());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "--dry-run"})
    void a_branch_without_a_parent_has_nothing_to_be_reset_to(String more) throws IOException {
        create("--schema-only");
        Files.writeString(envFile, OLD);
        assertRefused(create(Stream.of("--reset", more).filter(word -> !word.isEmpty()).toArray(String[]::new)),
                "Could not reset Neon branch '" + Cli.BRANCH + "': it has no parent; run without --reset.");
    }

    /** The lie is put together from the true string: user, password, host and database stand for themselves. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            another branch's host   | USER:PASSWORD@ep-other.c-3.eu-central-1.aws.neon.invalid/DATABASE \
                | leads to another host than the branch's own compute
            the host in front       | USER:PASSWORD@HOST.evil.example/DATABASE | leads to another host than the branch's own compute
            a password with a host  | USER:x@HOST/DATABASE@evil.example/DATABASE | leads to another host than the branch's own compute
            another role            | admin:PASSWORD@HOST/DATABASE  | is for another role than 'neondb_owner'
            another database        | USER:PASSWORD@HOST/postgres   | is for another database than 'neondb'
            no password             | USER@HOST/DATABASE            | holds none
            an empty password       | USER:@HOST/DATABASE           | holds none
            no database             | USER:PASSWORD@HOST/           | is for another database than 'neondb'
            """)
    void a_connection_string_is_believed_only_if_it_is_the_branchs_own(String name, String lie, String objection) throws IOException {
        sandbox.neon().add(Cli.BRANCH);
        String host = sandbox.neon().connectionString(Cli.BRANCH).replaceFirst(".*@([^/]*)/.*", "$1");
        String uri = "postgresql://" + lie.replace("USER", "neondb_owner").replace("PASSWORD", "npg_x").replace("HOST", host)
                .replace("DATABASE", "neondb") + "?sslmode=require";
        sandbox.fail("GET", "/connection_uri\\?pooled=false$", -1, Fault.status(200, "{\"uri\":\"" + uri + "\"}", Map.of()));
        Cli.Result result = create();
        assertTrue(result.err().matches("neon-ci: Could not get the connection string of Neon branch br-[a-z0-9-]+: Neon's answer \\Q"
                + objection
                + "\\E[^\n]*; check --api-host and any proxy, or run again later\\.\n"), result.err());
        assertEquals(1, result.exitCode());
        assertEquals(OLD, Files.readString(envFile));
    }

    @Test
    void the_pooled_string_is_no_direct_one_and_the_other_way_round() throws IOException {
        sandbox.neon().add(Cli.BRANCH);
        for (String pooled : List.of("true", "false")) {
            String other = Cli.written(sandbox, Cli.BRANCH).split("\"")[pooled.equals("true") ? 3 : 1];
            sandbox.failNoMore();
            sandbox.fail("GET", "/connection_uri\\?pooled=" + pooled + "$", -1, Fault.status(200, "{\"uri\":\"" + other + "\"}", Map.of()));
            assertEquals(1, create().exitCode(), pooled);
            assertEquals(OLD, Files.readString(envFile));
        }
    }

    @Test
    void a_disabled_compute_is_named() throws IOException {
        sandbox.neon().add(Cli.BRANCH).disableCompute();
        assertRefused(create(), "The compute " + sandbox.neon().branch(Cli.BRANCH).computes.get(0).id() + " of the Neon branch is disabled;"
                + " enable it in the Neon Console, then run again.");
    }

    @Test
    void a_branch_with_data_is_not_handed_out_as_one_without() throws IOException {
        sandbox.neon().add(Cli.BRANCH);
        for (String more : List.of("--verbose", "--reset", "--dry-run")) {
            assertRefused(create("--schema-only", more), "Neon branch '" + Cli.BRANCH + "' holds its parent's data, since it was made"
                    + " without --schema-only; delete it in the Neon Console, and the next run makes it anew.");
        }
        assertEquals(List.of(), changes());
    }

    private String restoredFrom() {
        JsonNode request = Cli.json(requests("POST", "/restore$").get(0).requestBody());
        return sandbox.neon().branch(request.path("source_branch_id").asText()).name;
    }

    private void assertRefused(Cli.Result result, String sentence) throws IOException {
        assertEquals("neon-ci: " + sentence, result.err().lines().filter(line -> line.startsWith("neon-ci: ")).findFirst()
                .orElse(result.out()));
        assertEquals(1, result.exitCode());
        assertEquals(OLD, Files.readString(envFile));
    }

}
