//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is written is what the app reads: production's connection strings for production, and its own for every other branch. */
class RightDatabaseTest extends InSandbox {

    private static final String OLD = "A=1\n";
    private static final String OTHER = "postgresql://neondb_owner:other@ep-other.aws.neon.invalid/neondb";

    @BeforeEach
    void start() throws IOException {
        Files.writeString(envFile, OLD);
    }

    @Test
    void the_production_branch_uses_productions_own_database_by_get_requests_alone() throws IOException {
        String production = sandbox.neon().branch("production").id;
        Cli.Result result = create("--production-branch", "feature/login", "--reset", "--expires-in", "7d", "--suspend-timeout", "60");
        assertEquals(0, result.exitCode(), result.err());
        assertTrue(result.out().matches("(?s)Using Neon branch 'production'[^\n]*" + production + "\n.*"), result.out());
        assertTrue(result.out().contains("--reset, --expires-in"), result.out());
        assertEquals(Cli.written(sandbox, "production") + OLD, Files.readString(envFile));
        assertEquals(List.of(), changes());

        JsonNode report = Cli.json(create("--production-branch", "feature/login", "--output", "json").out()).path("branch");
        assertEquals(production, report.path("id").asText());
        assertFalse(report.path("created").asBoolean());
    }

    @ParameterizedTest
    @ValueSource(strings = {"--dry-run", "--verbose"})
    void a_branch_without_a_compute_to_connect_to_is_refused(String run) throws IOException {
        sandbox.neon().branch("production").withoutCompute();
        assertRefused(create("--production-branch", "feature/login", run), "'production' has no read-write compute");
        sandbox.neon().add(Cli.BRANCH).disableCompute();
        assertRefused(create(run), sandbox.neon().branch(Cli.BRANCH).computes.get(0).id());
        assertEquals(List.of(), changes());
    }

    @ParameterizedTest(name = "{0}, {1}")
    @CsvSource({"new, DATABASE_URL", "new, DATABASE_URL_UNPOOLED", "new --dry-run, DATABASE_URL", "reused, DATABASE_URL",
            "reused --reset --expires-in 7d, DATABASE_URL_UNPOOLED", "reused --dry-run, DATABASE_URL", "bare, DATABASE_URL",
            "production, DATABASE_URL", "production --dry-run, DATABASE_URL_UNPOOLED"})
    void a_variable_that_would_override_is_refused_before_anything_changes(String run, String variable) throws IOException {
        if (run.startsWith("reused")) {
            sandbox.neon().add(Cli.BRANCH);
        } else if (run.startsWith("bare")) {
            sandbox.neon().add(Cli.BRANCH).withoutCompute();
        }
        String line = run.replace("production", "--production-branch feature/login").replaceFirst("^(new|reused|bare) ?", "");
        Cli.Result result = create(Map.of(variable, OTHER), line.isEmpty() ? new String[0] : line.split(" "));
        assertRefused(result, variable + " is set");
        assertFalse(result.out().contains("other") || result.err().contains("ep-other"), "the value is printed");
        assertEquals(List.of(), changes());
    }

    @Test
    void a_variable_with_the_written_value_is_accepted_and_a_blank_one_is_not() throws IOException {
        assertRefused(create(Map.of("DATABASE_URL", "")), "DATABASE_URL is set");
        assertRefused(create(Map.of("DATABASE_URL_UNPOOLED", " ")), "DATABASE_URL_UNPOOLED is set");
        assertEquals(0, create().exitCode());
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

    @Test
    void a_file_that_would_override_is_refused_before_any_request_unless_it_is_written_too() throws IOException {
        Path local = Files.writeString(folder.resolve(".env.local"), "DATABASE_URL=x\n");
        assertRefused(create(), ".env.local sets DATABASE_URL and overrides .env");
        assertEquals(List.of(), sandbox.exchanges());
        assertEquals(0, create("--env-file", local.toString()).exitCode());
        assertEquals(Cli.written(sandbox, Cli.BRANCH), Files.readString(local));
    }

    /** Such answers come from a cache, or from a mistake of a proxy. The connection strings then belong to the branch of the answer. */
    @ParameterizedTest
    @ValueSource(strings = {"created", "compute"})
    void an_answer_about_another_branch_does_not_lead_a_preview_to_production(String answer) throws IOException {
        SandboxBranch production = sandbox.neon().branch("production");
        String direct = sandbox.neon().connectionString("production");
        String computeId = production.computes.get(0).id();
        String computes = "\"endpoints\":[{\"id\":\"%s\",\"branch_id\":\"%s\",\"type\":\"read_write\",\"host\":\"%s\"}]".formatted(
                computeId, production.id, direct.replaceAll(".*@|/.*", ""));
        if (answer.equals("created")) {
            sandbox.fail("POST", "/branches$", -1, Fault.status(201, "{\"branch\":{\"id\":\"" + production.id
                    + "\",\"name\":\"production\",\"current_state\":\"ready\"}," + computes + "}", Map.of()));
        } else {
            sandbox.neon().add(Cli.BRANCH);
            sandbox.fail("GET", "/endpoints$", -1, Fault.status(200, "{" + computes + "}", Map.of()));
            for (boolean isPooled : new boolean[] {true, false}) {
                sandbox.fail("GET", "/connection_uri\\?pooled=" + isPooled + "$", -1, Fault.status(200, "{\"uri\":\""
                        + (isPooled ? direct.replace(computeId, computeId + "-pooler") : direct) + "\"}", Map.of()));
            }
        }
        assertRefused(create(), "Neon");
    }

    @Test
    void what_can_mislead_the_app_is_a_warning() throws IOException {
        String other = sandbox.neon().connectionString("production");
        Files.writeString(envFile, "POSTGRES_URL=" + other + "\n");
        Files.writeString(folder.resolve("turbo.json"), "{\"globalEnv\": [\"DATABASE_*\"]}");
        Shell.run(folder, Map.of(), "git", "init", "--quiet");
        Map<String, String> variables = Map.of("PGHOST", other.replaceAll(".*@|/.*", ""), "AWS_JOB_ID", "");
        Cli.Result result = create(variables, "--production-branch", "none");
        assertEquals(0, result.exitCode());
        assertEquals("""
                Warning: PGHOST in the environment leads to another Neon branch, so the app may use two databases; remove it, or set it \
                for this branch.
                Warning: POSTGRES_URL in %1$s/.env leads to another Neon branch, so the app may use two databases; remove it, or set it \
                for this branch.
                Warning: Turborepo may reuse a build with another branch's database; add "globalDependencies": ["**/.env"] to \
                %1$s/turbo.json.
                Warning: Git does not ignore %1$s/.env, which contains a password; add it to .gitignore, and run 'git rm --cached' on it \
                if it is tracked.
                """.formatted(folder), result.err());
        assertFalse(create(Map.of(), "--production-branch", "none").err().contains("Git"), "in a build");
    }

    @Test
    void the_direct_string_is_written_to_the_named_variable() throws IOException {
        assertEquals(0, create("--unpooled-env-var", "DIRECT_URL").exitCode());
        assertEquals(Cli.written(sandbox, Cli.BRANCH).replace("DATABASE_URL_UNPOOLED", "DIRECT_URL") + OLD, Files.readString(envFile));
    }

    @Test
    void a_pooled_string_in_place_of_a_direct_one_is_refused_and_vice_versa() throws IOException {
        sandbox.neon().add(Cli.BRANCH);
        for (String pooled : List.of("true", "false")) {
            String other = Cli.written(sandbox, Cli.BRANCH).split("\"")[pooled.equals("true") ? 3 : 1];
            sandbox.failNoMore();
            sandbox.fail("GET", "/connection_uri\\?pooled=" + pooled + "$", -1, Fault.status(200, "{\"uri\":\"" + other + "\"}", Map.of()));
            assertEquals(1, create().exitCode(), pooled);
            assertEquals(OLD, Files.readString(envFile));
        }
    }

    private void assertRefused(Cli.Result result, String words) throws IOException {
        String error = result.err().lines().filter(line -> line.startsWith("neon-ci: ")).findFirst().orElse(result.out());
        assertTrue(error.contains(words), error);
        assertEquals(1, result.exitCode());
        assertEquals(OLD, Files.readString(envFile));
    }
}
