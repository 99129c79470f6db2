//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code create-branch} prints, writes and requests. Which branch it is and what becomes of it is in BranchPlanTest. */
class CreateBranchTest extends InSandbox {

    @Test
    void creates_the_branch_and_writes_its_connection_strings() throws IOException {
        Cli.Result result = create();
        assertEquals("Created Neon branch '" + Cli.BRANCH + "' from 'production': " + url() + "\n"
                + "Wrote DATABASE_URL and DATABASE_URL_UNPOOLED to " + envFile + ".\n", result.out());
        assertEquals("", result.err());
        assertEquals(0, result.exitCode());
        assertEquals(Cli.written(sandbox, Cli.BRANCH), Files.readString(envFile));
    }

    @Test
    void reuses_the_branch_and_leaves_the_env_file_as_it_is() throws IOException {
        create();
        String written = Files.readString(envFile);
        Cli.Result again = create();
        assertTrue(again.out().matches("Reusing Neon branch '" + Cli.BRANCH + "'[^\n]*'production': \\Q" + url() + "\\E\nWrote [^\n]*\n"),
                again.out());
        assertEquals("", again.err());
        assertEquals(written, Files.readString(envFile));
        assertEquals(2, sandbox.neon().branches().size());
    }

    /** Without a branch's id Neon answers for the default branch, which is production. */
    @Test
    void requests_connection_strings_by_the_id_of_the_branch() {
        create();
        create();
        List<String> ids = requests("GET", "/connection_uri$").stream().map(exchange -> exchange.query().get("branch_id")).toList();
        assertEquals(List.of(id(), id(), id(), id()), ids.subList(ids.size() - 4, ids.size()));
        assertFalse(ids.contains(null));
    }

    @Test
    void annotates_the_branch_with_its_origin() {
        create(Map.of("AWS_COMMIT_ID", "0f1e2d", "AWS_JOB_ID", "12", "AWS_PULL_REQUEST_ID", "7"));
        assertEquals(Cli.json("""
                {"amplify-app-id":"d1a2b3c4d5e6f7","amplify-branch":"feature/login","amplify-commit-id":"0f1e2d",
                 "amplify-job-id":"12","amplify-pull-request-id":"7"}"""), createRequest().path("annotation_value"));
    }

    @ParameterizedTest
    @CsvSource({"022, rw-r--r--", "077, rw-------"})
    void a_new_file_gets_the_mode_that_the_umask_allows(String umask, String mode) throws IOException {
        String command = "umask " + umask + " && " + Shell.quoted(Shell.java("create-branch"));
        Shell.Result result = Shell.run(folder, sandbox.environment(), "/bin/sh", "-c", command);
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(mode, PosixFilePermissions.toString(Files.getPosixFilePermissions(envFile)));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            GET  | /api/.*/branches$ | 204 | ``
            GET  | /api/.*/branches$ | 200 | {"branches":[{"id":"br-a","name":"x","expires_at":"tomorrow"}]}
            POST | /branches$        | 201 | {}
            POST | /branches$        | 201 | {"branch":{"id":"","name":"x"}}
            POST | /branches$        | 201 | {"branch":{"id":"br-a","name":"d1a2b3c4d5e6f7-feature/login"},"operations":[{"id":"../.."}]}
            GET  | /operations/      | 200 | {"operation":{"id":"a b","status":"running"}}
            GET  | /connection_uri   | 200 | {"uri":null}
            """)
    void fails_in_one_sentence_when_an_answer_makes_no_sense(String method, String path, int status, String body) throws IOException {
        Files.writeString(envFile, "DATABASE_URL=old\n");
        sandbox.neon().operationsTakePolls(1);
        sandbox.fail(method, path, -1, Fault.status(status, body, Map.of()));
        Cli.Result result = create("--wait", "1s");
        assertTrue(result.err().matches("([^\n]* again [^\n]*\n)*neon-ci: Could not [^\n]*\n"), result.err());
        assertEquals(1, result.exitCode());
        assertEquals("DATABASE_URL=old\n", Files.readString(envFile));
    }

    @Test
    void waits_until_the_branch_is_ready() {
        sandbox.neon().operationsTakePolls(3);
        assertEquals(0, create().exitCode());
        assertTrue(requests("GET", "/operations/").size() >= 3);
        List<String> paths = requests("GET", "/operations/|/connection_uri$").stream().map(Exchange::path).toList();
        paths.subList(paths.size() - 2, paths.size()).forEach(path -> assertTrue(path.endsWith("/connection_uri"), paths::toString));
    }

    @Test
    void stops_waiting_after_the_given_time() {
        sandbox.neon().operationsTake(Duration.ofHours(1));
        Cli.Result result = create("--wait", "1s");
        assertTrue(result.err().contains(Cli.BRANCH) && result.err().endsWith("--wait.\n"), result.err());
        assertEquals(1, result.exitCode());
        assertFalse(Files.exists(envFile));
    }

    @ParameterizedTest
    @ValueSource(strings = {"failed", "error", "cancelled"})
    void fails_when_an_operation_fails(String status) {
        sandbox.neon().operationsTakePolls(1);
        sandbox.neon().operationsEnd(status, "no room");
        Cli.Result result = create();
        assertTrue(result.err().contains(Cli.BRANCH) && result.err().contains(status), result.err());
        assertEquals(1, result.exitCode());
        assertFalse(Files.exists(envFile));
    }

    @Test
    void a_compute_gets_the_suspend_timeout_that_is_asked_for() {
        create("--suspend-timeout", "604800");
        assertEquals(604_800, sandbox.neon().branch(Cli.BRANCH).computes.get(0).suspendTimeout());
        sandbox.neon().branch(Cli.BRANCH).withoutCompute();
        assertEquals(0, create("--suspend-timeout", "-1").exitCode());
        assertEquals(-1, sandbox.neon().branch(Cli.BRANCH).computes.get(0).suspendTimeout());
    }

    @Test
    void asks_for_no_suspend_timeout_by_default_since_some_plans_refuse_any() {
        assertEquals(0, create().exitCode());
    }

    @Test
    void each_run_sets_the_expiry_or_cancels_it() {
        Instant before = Instant.now();
        create("--expires-in", "12h");
        assertExpiry(before.plus(Duration.ofHours(12)), createRequest().at("/branch/expires_at").asText());

        JsonNode report = Cli.json(create("--expires-in", "7d", "--output", "json").out());
        assertExpiry(before.plus(Duration.ofDays(7)), report.at("/branch/expires_at").asText());
        assertEquals(report.at("/branch/expires_at").asText(), sandbox.neon().branch(Cli.BRANCH).expiresAt.toString());

        assertTrue(Cli.json(create("--output", "json").out()).at("/branch/expires_at").isNull());
        assertNull(sandbox.neon().branch(Cli.BRANCH).expiresAt);
        assertEquals(List.of(200, 200), statuses("PATCH", ""));
    }

    private static void assertExpiry(Instant expected, String actual) {
        Duration difference = Duration.between(expected, Instant.parse(actual));
        assertTrue(difference.toSeconds() >= -1 && difference.toSeconds() <= 60, actual);
    }

    @Test
    void options_that_would_lose_a_branch_are_ignored_and_the_run_continues() {
        SandboxBranch main = sandbox.neon().add(SandboxAws.APP_ID + "-main");
        Cli.Result result = create("--branch-name", "main", "--reset", "--expires-in", "7d");
        assertEquals(0, result.exitCode(), result.err());
        assertTrue(result.out().lines().anyMatch(line -> line.matches(".*--reset, --expires-in.*'main'.*")), result.out());
        assertNull(main.expiresAt);
        assertEquals(List.of(), changes());
    }

    @Test
    void creates_the_branch_from_the_named_parent_and_without_rows() {
        String staging = sandbox.neon().add("staging").id;
        create("--parent-branch-id", staging, "--schema-only");
        assertEquals(staging, createRequest().at("/branch/parent_id").asText());
        assertEquals("schema-only", createRequest().at("/branch/init_source").asText());
    }

    @Test
    void resets_the_branch_to_its_parent_only_when_told() {
        create("--reset");
        create();
        assertEquals(List.of(201), statuses("POST", ""));
        Cli.Result reset = create("--reset");
        assertEquals(List.of(201, 200), statuses("POST", ""));
        assertEquals(sandbox.neon().branch("production").id,
                Cli.json(requests("POST", "/restore$").get(0).requestBody()).path("source_branch_id").asText());
        assertTrue(reset.out().contains("\nReset it to the current state of 'production'"), reset.out());
    }

    /** What the branch is reset to may have other databases or roles than the branch. */
    @ParameterizedTest
    @ValueSource(strings = {"--dry-run", "--verbose"})
    void a_reset_to_a_branch_without_the_database_or_role_fails_before_the_data_is_lost(String run) {
        SandboxBranch branch = sandbox.neon().add(Cli.BRANCH);
        sandbox.neon().add("staging").databases("crm", "shop");
        sandbox.when("POST", "/restore$", () -> branch.databases("crm", "shop"));
        assertFailed(create("--reset", "--parent-branch", "staging", run), "--database-name");
        assertEquals(List.of(), changes());
    }

    /** A branch that another build creates between the list and the POST must pass the same checks as one of the list. */
    @ParameterizedTest
    @CsvSource({"--schema-only, --schema-only", "--verbose, expired"})
    void checks_a_branch_that_another_build_creates_at_the_same_time(String option, String words) {
        sandbox.when("POST", "/branches$", () -> {
            SandboxBranch created = sandbox.neon().add(Cli.BRANCH);
            created.expiresAt(words.equals("expired") ? SandboxBranch.now().minusSeconds(5) : null);
        });
        assertFailed(create(option), words);
        assertEquals(List.of(409), changes().stream().map(Exchange::status).toList());
    }

    @Test
    void a_pull_request_never_uses_productions_database() {
        assertEquals(0, create(Map.of("AWS_PULL_REQUEST_ID", "7"), "--production-branch", "feature/login").exitCode());
        assertTrue(sandbox.neon().hasBranch(Cli.BRANCH));
    }

    @Test
    void warns_once_when_main_gets_a_copy_unless_that_is_asked_for() {
        Cli.Result result = create("--branch-name", "main");
        assertEquals(0, result.exitCode());
        assertTrue(result.err().matches("[^\n]*--production-branch main[^\n]*--production-branch none[^\n]*\n"), result.err());
        assertEquals("", create("--branch-name", "main", "--production-branch", "none").err());
        assertEquals("", create("--branch-name", "main", "--production-branch", "main").err());
    }

    @ParameterizedTest
    @CsvSource({"--role-name, role", "--database-name, database"})
    void a_role_or_database_that_must_be_named_fails_before_anything_is_created(String option, String what) {
        if (what.equals("role")) {
            sandbox.neon().roles("production", "alice", "bob");
        } else {
            sandbox.neon().branch("production").databases("shop", "crm");
        }
        assertFailed(create("--dry-run"), option);
        assertFailed(create(), option);
        assertEquals(List.of(), changes());
    }

    @Test
    void never_chooses_a_role_that_neon_manages() throws IOException {
        sandbox.neon().roles("production", "alice");
        sandbox.fail("GET", "/roles$", -1, Fault.status(200, """
                {"roles":[{"name":"web_access","protected":true},{"name":"alice","protected":false}]}""", Map.of()));
        assertEquals(0, create().exitCode());
        assertTrue(Files.readString(envFile).contains("//alice:"));
    }

    @Test
    void a_project_that_stores_no_passwords_fails_before_anything_is_created() {
        sandbox.fail("GET", "/connection_uri$", -1, Fault.neon(412, "", "storing passwords is not enabled for the project"));
        for (String run : List.of("--dry-run", "--output=json")) {
            Cli.Result result = create(run);
            assertFailed(result, "storing passwords");
            assertFalse(result.err().contains(" plan"), result.err());
        }
        sandbox.neon().add(Cli.BRANCH).withoutCompute();
        assertFailed(create(), "storing passwords");
        assertEquals(List.of(), changes());
    }

    /** For example because the role was created by SQL and Neon does not know its password. */
    @Test
    void a_login_that_has_no_connection_string_fails_before_anything_is_created() {
        sandbox.fail("GET", "/connection_uri$", -1, Fault.neon(404, "", "role password not found"));
        for (String run : List.of("--dry-run", "--verbose")) {
            assertFailed(create(run), "role password not found");
            assertEquals(List.of(), changes());
        }
    }

    @Test
    void a_reset_that_is_bound_to_fail_creates_no_compute() {
        sandbox.neon().add(Cli.BRANCH).withoutCompute();
        sandbox.neon().add("staging").databases("crm", "shop");
        assertFailed(create("--reset", "--parent-branch", "staging"), "--database-name");
        assertEquals(List.of(), changes());
    }

    @Test
    void prints_the_expiry_of_a_new_branch_and_a_dry_run_what_would_happen_to_it() {
        String plan = create("--expires-in", "7d", "--dry-run").out();
        assertTrue(plan.matches("(?s).*expire on \\d{4}-.*"), plan);
        String created = create("--expires-in", "7d").out();
        assertTrue(created.contains("\nIt expires on " + sandbox.neon().branch(Cli.BRANCH).expiresAt + ".\n"), created);
        String cancelled = create("--dry-run").out();
        assertTrue(cancelled.contains("expir"), cancelled);
        assertTrue(create("--dry-run", "--branch-name", "main", "--expires-in", "7d").out().contains("--expires-in: 'main'"));
    }

    @Test
    void sets_parameters_of_both_connection_strings() throws IOException {
        String[] parameters = {"--param", "connect_timeout=15", "--param", "channel_binding=", "--param", "sslmode=verify-full"};
        assertEquals(0, create(parameters).exitCode());
        assertEquals(Cli.written(sandbox, Cli.BRANCH).replace("?sslmode=require&channel_binding=require",
                "?connect_timeout=15&sslmode=verify-full"), Files.readString(envFile));
        // A shell that has read the file overrides it with the same value.
        Map<String, String> variables = Files.readAllLines(envFile).stream().map(line -> line.replace("\"", "").split("=", 2))
                .collect(Collectors.toMap(entry -> entry[0], entry -> entry[1]));
        assertEquals(0, create(variables, parameters).exitCode());
        assertFailed(create(variables), "DATABASE_URL");
    }

    @Test
    void connects_as_the_role_and_to_the_database_that_are_named() throws IOException {
        sandbox.neon().roles("production", "neondb_owner", "bob");
        sandbox.neon().branch("production").databases("shop", "neondb");
        for (String run : List.of("new", "reused")) {
            assertEquals(0, create("--role-name", "bob", "--database-name", "shop").exitCode(), run);
            assertEquals(2, Files.readAllLines(envFile).stream().filter(line -> line.matches(".*//bob:.*/shop\\?.*")).count(), run);
        }
        for (String option : List.of("--role-name", "--database-name")) {
            Cli.Result result = create("--branch-name", "x", option, "nobody");
            assertTrue(result.err().contains("'nobody'") && result.err().contains(option), result.err());
            assertEquals(1, result.exitCode());
        }
        assertFalse(sandbox.neon().hasBranch(SandboxAws.APP_ID + "-x"));
    }

    @Test
    void a_dry_run_prints_the_plan_and_changes_nothing() throws IOException {
        Files.writeString(envFile, "A=1\n");
        assertPlan(create("--dry-run"), "Would create Neon branch '" + Cli.BRANCH + "' from 'production', ");
        SandboxBranch there = sandbox.neon().add(Cli.BRANCH);
        assertPlan(create("-n"), "Would reuse Neon branch '" + Cli.BRANCH + "' (" + there.id + ")");
        assertPlan(create("-n", "--reset"), "Would reset Neon branch '" + Cli.BRANCH + "' (" + there.id + ")");
        assertEquals("A=1\n", Files.readString(envFile));
        assertEquals(List.of(), changes());
    }

    private void assertPlan(Cli.Result result, String start) {
        assertTrue(result.out().startsWith(start), result.out());
        assertTrue(result.out().contains("'neondb_owner'") && result.out().contains("'neondb'"), result.out());
        assertTrue(result.out().contains(envFile.toString()), result.out());
        assertEquals("", result.err());
        assertEquals(0, result.exitCode());
    }

    @ParameterizedTest
    @ValueSource(strings = {"--role-name nobody", "--parent-branch nowhere", "--project-id another"})
    void a_dry_run_fails_where_a_run_would(String options) {
        for (String run : List.of("--dry-run ", "")) {
            assertEquals(1, create((run + options).split(" ")).exitCode());
        }
        assertEquals(List.of(), changes());
    }

    @Test
    void reports_as_json() {
        Cli.Result created = create("--output", "json");
        assertTrue(created.err().startsWith("Created Neon branch "), created.err());
        JsonNode report = Cli.json(created.out());
        assertEquals(id(), report.at("/branch/id").asText());
        assertEquals(url(), report.at("/branch/url").asText());
        assertEquals(Cli.BRANCH, report.at("/branch/name").asText());
        assertEquals(sandbox.neon().branch("production").id, report.at("/branch/parent").asText());
        assertTrue(report.at("/branch/created").asBoolean() && report.at("/branch/expires_at").isNull());
        assertEquals(envFile.toString(), report.at("/env_files/0").asText());
        assertFalse(report.at("/dry_run").asBoolean());
        assertFalse(Cli.json(create("--output", "JSON").out()).at("/branch/created").asBoolean());

        JsonNode planned = Cli.json(create("--output", "json", "--dry-run", "--branch-name", "x").out());
        assertTrue(planned.at("/branch/id").isNull() && planned.at("/dry_run").asBoolean());
    }

    @Test
    void writes_every_file_and_the_variable_that_is_asked_for() throws IOException {
        Path second = folder.resolve("second.env");
        create("--env-file", second.toString(), "--env-var", "PG_URL");
        assertEquals(Cli.written(sandbox, Cli.BRANCH).replace("DATABASE_URL", "PG_URL"), Files.readString(envFile));
        assertEquals(Files.readString(envFile), Files.readString(second));
    }

    @ParameterizedTest
    @ValueSource(strings = {"with a space", "quote'\"s", "$(touch pwned)", "`id`", "a;b", "per%cent", "+plus", "Grüße/日本語", "@file",
            "${sys:user.home}"})
    void keeps_any_branch_name_as_it_is(String branch) {
        for (String run : List.of("new", "reused")) {
            assertEquals(0, create("--branch-name", branch).exitCode(), run);
        }
        assertEquals(List.of("production", SandboxAws.APP_ID + "-" + branch), sandbox.neon().names());
    }

    /** Neon allows 256 characters, of which the app's id and a hyphen are the first. */
    @ParameterizedTest
    @ValueSource(strings = {"x", "日", "😀"})
    void allows_the_longest_name_that_neon_allows_and_refuses_a_longer_one(String character) {
        String longest = character.repeat(256 - SandboxAws.APP_ID.length() - 1);
        assertEquals(0, create("--branch-name", longest).exitCode());
        sandbox.forgetExchanges();
        Cli.Result result = create("--branch-name", longest + character);
        assertTrue(result.err().contains("'--branch-name'") && result.err().contains("256"), result.err());
        assertEquals(2, result.exitCode());
        assertEquals(List.of(), sandbox.exchanges());
        assertEquals(0, create("--branch-name", longest + character, "--production-branch", longest + character).exitCode());
    }

    @Test
    void reads_the_key_from_the_environment_if_no_parameter_is_named() {
        assertEquals(0, create(Map.of("NEON_API_KEY_PARAM", " ", "NEON_API_KEY", sandbox.apiKey())).exitCode());
        assertTrue(sandbox.exchanges().stream().noneMatch(exchange -> exchange.path().startsWith("/ssm")));
    }

    @Test
    void verbose_prints_each_request_without_its_query_and_headers() {
        Cli.Result result = create("--verbose");
        List<String> lines = result.err().lines().filter(line -> line.matches("(GET|POST) .*")).toList();
        assertEquals(requests(".*", "").size(), lines.size());
        lines.forEach(line -> assertTrue(line.matches("(GET|POST) /projects/[a-z0-9/_-]+ 20[01] \\d+ ms [0-9a-f-]{36}"), line));
        assertTrue(result.err().contains("ssm:GetParameter "));
    }

    @Test
    void waits_as_long_as_neon_asks() {
        sandbox.fail("POST", "/branches$", 1, Fault.status(429, "", Map.of("Retry-After", "1")));
        assertEquals(0, create().exitCode());
        List<Exchange> posts = requests("POST", "/branches$");
        assertTrue(posts.get(1).start() - posts.get(0).end() >= 1_000_000_000L);
    }

    @ParameterizedTest
    @ValueSource(ints = {423, 429})
    void does_not_wait_where_neon_asks_for_more_time_than_remains(int status) {
        sandbox.fail("POST", "/branches$", -1, Fault.status(status, "", Map.of("Retry-After", "3600")));
        Cli.Result result = create();
        assertTrue(result.err().startsWith("neon-ci: Could not create Neon branch '" + Cli.BRANCH + "'"), result.err());
        assertEquals(1, result.exitCode());
        assertEquals(List.of(status), statuses("POST", ""));
    }

    private void assertFailed(Cli.Result result, String words) {
        assertTrue(result.err().matches("(?s)(.*\n)?neon-ci: [^\n]*\\Q" + words + "\\E[^\n]*\n"), result.err());
        assertEquals(1, result.exitCode());
        assertFalse(result.out().contains("Wrote"), result.out());
    }

    private String url() {
        return "https://console.neon.tech/app/projects/" + SandboxNeon.PROJECT_ID + "/branches/" + id();
    }

    private String id() {
        return sandbox.neon().branch(Cli.BRANCH).id;
    }

    private JsonNode createRequest() {
        return Cli.json(requests("POST", "/branches$").get(0).requestBody());
    }
}
