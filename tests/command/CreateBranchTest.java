//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code create-branch} does, seen from outside: its exit code, its output, the env file and the requests. */
class CreateBranchTest extends InSandbox {

    @Test
    void makes_the_branch_and_writes_its_connection_strings() throws IOException {
        Cli.Result result = create();
        assertEquals("""
                Created Neon branch 'd1a2b3c4d5e6f7-feature/login' (%s) from 'production'.
                Wrote DATABASE_URL and DATABASE_URL_UNPOOLED to %s.
                """.formatted(id(), envFile), result.out());
        assertEquals("", result.err());
        assertEquals(0, result.exitCode());
        assertEquals("DATABASE_URL=\"" + handedOut(true) + "\"\nDATABASE_URL_UNPOOLED=\"" + handedOut(false) + "\"\n",
                Files.readString(envFile));
        assertNotEquals(handedOut(true), handedOut(false));
    }

    @Test
    void says_where_the_branch_came_from() {
        create(Map.of("AWS_COMMIT_ID", "0f1e2d", "AWS_JOB_ID", "12", "AWS_PULL_REQUEST_ID", "7"));
        assertEquals("""
                {"amplify-app-id":"d1a2b3c4d5e6f7","amplify-branch":"feature/login","amplify-commit-id":"0f1e2d",\
                "amplify-job-id":"12","amplify-pull-request-id":"7"}""", sorted(createRequest().path("annotation_value")));
    }

    @Test
    void uses_the_branch_again_and_leaves_the_env_file_as_it_is() throws IOException {
        create();
        String written = Files.readString(envFile);
        Cli.Result again = create();

        assertEquals("""
                Reusing Neon branch 'd1a2b3c4d5e6f7-feature/login' (%s), made from 'production'.
                Wrote DATABASE_URL and DATABASE_URL_UNPOOLED to %s.
                """.formatted(id(), envFile), again.out());
        assertEquals("", again.err());
        assertEquals(written, Files.readString(envFile));
        assertEquals(2, sandbox.neon().branches().size());
    }

    @ParameterizedTest
    @CsvSource({"022, rw-r--r--", "077, rw-------"})
    void a_new_file_gets_the_mode_that_the_umask_leaves(String umask, String mode) throws IOException {
        String command = "umask " + umask + " && " + Shell.quoted(Shell.java("create-branch"));
        Shell.Result result = Shell.run(folder, sandbox.environment(), "/bin/sh", "-c", command);
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(mode, PosixFilePermissions.toString(Files.getPosixFilePermissions(envFile)));
    }

    @Test
    void replaces_what_an_earlier_build_wrote() throws IOException {
        Files.writeString(envFile, "A=1\nDATABASE_URL=old\nB=2\nDATABASE_URL=older\n");
        create();
        assertEquals("DATABASE_URL=\"" + handedOut(true) + "\"\nDATABASE_URL_UNPOOLED=\"" + handedOut(false) + "\"\nA=1\nB=2\n",
                Files.readString(envFile));
    }

    @Test
    void uses_the_branch_that_another_build_made_meanwhile() {
        sandbox.when("POST", "/branches$", () -> sandbox.neon().add(Cli.BRANCH));
        assertEquals(0, create().exitCode());
        assertEquals(List.of(409), statuses("POST", ""));
        assertEquals(2, sandbox.neon().branches().size());
    }

    @Test
    void uses_the_branch_that_was_made_though_the_answer_was_lost() {
        sandbox.fail("POST", "/branches$", 1, Fault.resetAfter());
        assertEquals(0, create().exitCode());
        assertEquals(List.of(0), statuses("POST", ""));
        assertEquals(2, sandbox.neon().branches().size());
    }

    @Test
    void asks_for_no_connection_string_without_the_branch() {
        create();
        create();
        List<Exchange> asked = requests("GET", "/connection_uri$");
        assertEquals(4, asked.size());
        asked.forEach(exchange -> assertEquals(id(), exchange.query().get("branch_id")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"branch\":{\"id\":\"\",\"name\":\"x\"}}", "{\"branch\":{}}", "{}"})
    void takes_no_answer_without_a_branch_id_for_a_branch(String answer) {
        sandbox.fail("POST", "/branches$", 1, Fault.status(201, answer, Map.of()));
        Cli.Result result = create();
        assertEquals("neon-ci: Could not read a Neon branch: Neon's answer holds no id of it; run again later.\n", result.err());
        assertEquals(1, result.exitCode());
        assertFalse(Files.exists(envFile));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            GET  | /api/.*/branches$ | 204 | ``
            GET  | /api/.*/branches$ | 200 | {"branches":[{"id":"br-a","name":"x","expires_at":"tomorrow"}]}
            GET  | /operations/         | 204 | ``
            GET  | /operations/         | 200 | {}
            GET  | /operations/         | 200 | {"operation":{"id":"a b","status":"running"}}
            GET  | /branches/br-        | 200 | {"branch":{}}
            GET  | /connection_uri      | 204 | ``
            POST | /branches$           | 201 | {"branch":{"id":"br-a"},"operations":[{"id":"../..","status":"running"}]}
            """)
    void says_so_in_a_sentence_when_an_answer_makes_no_sense(String method, String path, int status, String body) {
        sandbox.neon().operationsTakePolls(1);
        sandbox.fail(method, path, -1, Fault.status(status, body, Map.of()));
        Cli.Result result = create("--wait", "3s");
        assertTrue(result.err().matches("([^\n]* Retrying in [^\n]*\n)*neon-ci: Could not [^\n]*\n"), result.err());
        assertEquals(1, result.exitCode());
        assertFalse(Files.exists(envFile));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"uri\":\"\"}", "{}", "{\"uri\":null}", "{\"uri\":\"https://example.com\"}"})
    void writes_nothing_when_a_connection_string_is_missing(String answer) throws IOException {
        Files.writeString(envFile, "DATABASE_URL=old\n");
        sandbox.fail("GET", "/connection_uri$", -1, Fault.status(200, answer, Map.of()));
        Cli.Result result = create();
        assertEquals("neon-ci: Could not get the connection string of Neon branch " + id() + ": Neon's answer holds none; check"
                + " --api-host and any proxy, or run again later.\n", result.err());
        assertEquals(1, result.exitCode());
        assertEquals("DATABASE_URL=old\n", Files.readString(envFile));
    }

    @Test
    void waits_until_the_branch_can_be_connected_to() {
        sandbox.neon().operationsTakePolls(3);
        assertEquals(0, create().exitCode());
        List<String> paths = sandbox.exchanges().stream().map(exchange -> exchange.path().replaceAll("/[^/]*$", "")).toList();
        assertTrue(paths.lastIndexOf("/api/v2/projects/" + SandboxNeon.PROJECT_ID + "/operations")
                < sandbox.exchanges().stream().map(Exchange::path).toList()
                        .indexOf("/api/v2/projects/" + SandboxNeon.PROJECT_ID + "/connection_uri"), paths::toString);
        assertTrue(paths.stream().filter(path -> path.endsWith("/operations")).count() >= 3, paths::toString);
    }

    @Test
    void waits_for_a_branch_that_another_build_is_making() {
        SandboxBranch made = sandbox.neon().add(Cli.BRANCH).state("init");
        sandbox.when("GET", "/branches/br-[^/]*$", () -> made.state(null));
        assertEquals(0, create().exitCode());
        assertEquals(1, requests("GET", "/branches/[^/]+$").size());
    }

    @Test
    void gives_up_waiting_after_the_time_it_was_given() {
        sandbox.neon().operationsTake(Duration.ofHours(1));
        Cli.Result result = create("--wait", "3s");
        assertTrue(result.err().endsWith("neon-ci: Neon branch 'd1a2b3c4d5e6f7-feature/login' is not ready yet (create_branch is"
                + " running); run again, which goes on with the same branch, or give it longer with --wait.\n"), result.err());
        assertEquals(1, result.exitCode());
        assertFalse(Files.exists(envFile));
    }

    @Test
    void says_what_to_do_about_a_branch_that_neon_keeps_calling_not_ready() {
        sandbox.fail("GET", "/connection_uri$", -1, Fault.neon(422, "", "branch not ready yet"));
        Cli.Result result = create("--wait", "3s");
        assertTrue(result.err().matches("(?s)(.*\n)?neon-ci: Could not get the connection string of Neon branch br-[a-z0-9-]+: Neon"
                + " answered 422, branch not ready yet \\(request [0-9a-f-]+\\); Neon is still working on this project; run again"
                + " later, or increase --wait\\.\n"), result.err());
        assertEquals(1, result.exitCode());
    }

    @ParameterizedTest
    @ValueSource(strings = {"failed", "error", "cancelled"})
    void fails_when_an_operation_fails(String status) {
        sandbox.neon().operationsTakePolls(1);
        sandbox.neon().operationsEnd(status, "postgres://u:secret@h/d");
        Cli.Result result = create();
        assertTrue(result.err().contains("neon-ci: Neon could not make branch '" + Cli.BRANCH + "' ready: create_branch ended as "
                + status), result.err());
        assertFalse(result.err().contains("secret"));
        assertEquals(1, result.exitCode());
        assertFalse(Files.exists(envFile));
    }

    @Test
    void gives_a_branch_without_a_compute_one() {
        sandbox.neon().add(Cli.BRANCH).computes = List.of();
        assertEquals(0, create("--suspend-timeout", "120").exitCode());
        assertEquals(120, sandbox.neon().branch(Cli.BRANCH).computes.get(0).suspendTimeout());
    }

    @ParameterizedTest
    @CsvSource({"-1", "60", "604800"})
    void passes_the_suspend_timeout_on(int seconds) {
        create("--suspend-timeout", String.valueOf(seconds));
        assertEquals(seconds, createRequest().at("/endpoints/0/suspend_timeout_seconds").asInt());
    }

    @Test
    void leaves_neons_default_suspend_timeout_out_since_plans_refuse_it() {
        sandbox.neon().refuseSuspendTimeout();
        assertEquals(0, create().exitCode());
        assertTrue(createRequest().at("/endpoints/0/suspend_timeout_seconds").isMissingNode());
    }

    @Test
    void lets_the_branch_expire_and_each_run_starts_the_time_anew() {
        Instant before = Instant.now();
        create("--expires-in", "12h");
        Instant first = Instant.parse(createRequest().at("/branch/expires_at").asText());
        assertFalse(first.isBefore(before.plus(Duration.ofHours(12)).minusSeconds(1)));
        assertFalse(first.isAfter(Instant.now().plus(Duration.ofHours(12))));

        JsonNode report = Cli.json(create("--expires-in", "7d", "--output", "json").out());
        Instant second = Instant.parse(report.at("/branch/expires_at").asText());
        assertFalse(second.isBefore(before.plus(Duration.ofDays(7)).minusSeconds(1)));
        assertEquals(second, sandbox.neon().branch(Cli.BRANCH).expiresAt);
        assertEquals(List.of(200), statuses("PATCH", ""));
        assertTrue(Cli.json(create("--output", "json").out()).at("/branch/expires_at").isNull());
        assertEquals(null, sandbox.neon().branch(Cli.BRANCH).expiresAt);
    }

    @Test
    void takes_the_parent_by_name_or_by_id() {
        String staging = sandbox.neon().add("staging").id;
        create("--parent-branch", "staging", "--branch-name", "a");
        create("--parent-branch-id", staging, "--branch-name", "b");
        assertEquals(staging, sandbox.neon().branch(SandboxAws.APP_ID + "-a").parentId);
        assertEquals(staging, sandbox.neon().branch(SandboxAws.APP_ID + "-b").parentId);
    }

    @Test
    void takes_an_id_for_an_id_even_if_another_branch_is_named_so() {
        String staging = sandbox.neon().add("staging").id;
        sandbox.neon().add(staging);
        create("--parent-branch", staging);
        assertEquals(staging, sandbox.neon().branch(Cli.BRANCH).parentId);
    }

    @Test
    void branches_the_schema_alone() {
        create("--schema-only");
        assertEquals("schema-only", createRequest().at("/branch/init_source").asText());
    }

    @Test
    void resets_the_branch_only_when_told() {
        create();
        assertEquals(List.of(201), statuses("POST", ""));
        Cli.Result reset = create("--reset");
        assertEquals(List.of(201, 200), statuses("POST", ""));
        assertEquals("""
                Reusing Neon branch 'd1a2b3c4d5e6f7-feature/login' (%s), made from 'production'.
                Reset it to the current state of 'production'; its own data is gone.
                Wrote DATABASE_URL and DATABASE_URL_UNPOOLED to %s.
                """.formatted(id(), envFile), reset.out());
        create("--branch-name", "other", "--reset");
        assertEquals(List.of(201, 200, 201), statuses("POST", ""));
    }

    @ParameterizedTest(name = "{0} --role-name {1}: {2}")
    @CsvSource(delimiter = '|', textBlock = """
            neondb_owner                                |       | neondb_owner
            alice                                       |       | alice
            alice neondb_owner                          |       | neondb_owner
            alice authenticator anonymous authenticated |       | alice
            alice bob                                   | bob   | bob
            alice authenticator                         | authenticator | authenticator
            """)
    void chooses_the_role(String roles, String option, String chosen) {
        sandbox.neon().roles("production", roles.split(" "));
        for (String run : List.of("new", "reused")) {
            assertEquals(0, create(option == null ? new String[0] : new String[] {"--role-name", option}).exitCode(), run);
            assertTrue(Stream.of(entry("DATABASE_URL"), entry("DATABASE_URL_UNPOOLED"))
                    .allMatch(uri -> uri.startsWith("postgresql://" + chosen + ":")), run);
        }
    }

    @ParameterizedTest(name = "{0} --role-name {1}: {2}")
    @CsvSource(delimiter = '|', textBlock = """
            alice bob                |       | it has 'alice', 'bob'; name one of them with --role-name
            authenticator anonymous  |       | it has none; make one in the Neon Console
            alice bob                | carol | there is no 'carol', it has 'alice', 'bob'; name one of them with --role-name
            """)
    void does_not_guess_a_role(String roles, String option, String reason) {
        sandbox.neon().roles("production", roles.split(" "));
        Cli.Result result = create(option == null ? new String[0] : new String[] {"--role-name", option});
        assertTrue(result.err().endsWith("': " + reason + ".\n"), result.err());
        assertEquals(1, result.exitCode());
        assertFalse(Files.exists(envFile));
        assertEquals(option == null, sandbox.neon().hasBranch(Cli.BRANCH), "a wrong name creates nothing");
    }

    @Test
    void chooses_the_database() {
        sandbox.neon().branch("production").databases = Map.of("shop", "neondb_owner");
        create();
        assertTrue(entry("DATABASE_URL").contains("/shop?"));

        sandbox.neon().branch("production").databases = Map.of("shop", "neondb_owner", "neondb", "neondb_owner");
        create("--branch-name", "b");
        assertTrue(entry("DATABASE_URL").contains("/neondb?"));
        create("--branch-name", "c", "--database-name", "shop");
        assertTrue(entry("DATABASE_URL").contains("/shop?"));

        Cli.Result wrong = create("--branch-name", "d", "--database-name", "shops");
        assertEquals("neon-ci: Could not choose a database of Neon branch 'production': there is no 'shops', it has 'neondb', 'shop'; name"
                + " one of them with --database-name.\n", wrong.err());
        assertFalse(sandbox.neon().hasBranch(SandboxAws.APP_ID + "-d"));
    }

    @Test
    void a_dry_run_checks_and_says_but_changes_nothing() throws IOException {
        Files.writeString(envFile, "A=1\n");
        Cli.Result result = create("--dry-run");
        assertEquals("Would create Neon branch 'd1a2b3c4d5e6f7-feature/login' from 'production', and write the connection strings of role"
                + " 'neondb_owner' and database 'neondb' to " + envFile + ".\n", result.out());
        assertEquals("", result.err());
        assertEquals("A=1\n", Files.readString(envFile));
        create();
        for (String doing : List.of("reuse", "reset")) {
            Cli.Result again = doing.equals("reset") ? create("-n", "--reset") : create("-n");
            assertEquals("Would " + doing + " Neon branch '" + Cli.BRANCH + "' (" + id() + "), and write the connection strings of"
                    + " role 'neondb_owner' and database 'neondb' to " + envFile + ".\n", again.out());
        }
        assertEquals(List.of(201), statuses("POST", ""));
    }

    @Test
    void a_dry_run_fails_where_a_run_would() {
        assertEquals(1, create("-n", "--role-name", "nobody").exitCode());
        assertEquals(1, create("-n", "--parent-branch", "nowhere").exitCode());
        assertEquals(1, create("-n", "--project-id", "another").exitCode());
        assertEquals(1, sandbox.neon().branches().size());
    }

    @Test
    void reports_as_json() {
        Cli.Result created = create("--output", "json");
        assertTrue(created.err().startsWith("Created Neon branch '" + Cli.BRANCH + "' (" + id() + ") from 'production'.\n"), created.err());
        assertEquals("""
                {"branch":{"id":"%s","name":"%s","parent":"%s","created":true,"expires_at":null},"env_files":["%s"],"dry_run":false}
                """.formatted(id(), Cli.BRANCH, sandbox.neon().branch("production").id, envFile), created.out());
        assertFalse(Cli.json(create("--output", "JSON").out()).at("/branch/created").asBoolean());
        JsonNode planned = Cli.json(create("--output", "json", "--dry-run", "--branch-name", "x").out());
        assertTrue(planned.at("/branch/id").isNull());
        assertTrue(planned.at("/dry_run").asBoolean());
    }

    @Test
    void writes_every_file_and_the_variable_that_was_asked_for() throws IOException {
        Path second = folder.resolve("second.env");
        create("--env-file", second.toString(), "--env-var", "PG_URL");
        assertTrue(Files.readString(envFile).matches("PG_URL=\"postgresql://\\S+\"\nPG_URL_UNPOOLED=\"postgresql://\\S+\"\n"));
        assertEquals(Files.readString(envFile), Files.readString(second));
    }

    @ParameterizedTest
    @ValueSource(strings = {"with a space", "quote'\"s", "$(touch pwned)", "`id`", "a;b", "per%cent", "+plus", "Grüße/日本語", "@file",
            "${sys:user.home}"})
    void keeps_any_branch_name_as_it_is(String branch) {
        for (String run : List.of("new", "reused")) {
            assertEquals(0, create("--branch-name", branch).exitCode(), run);
        }
        assertTrue(sandbox.neon().hasBranch(SandboxAws.APP_ID + "-" + branch));
        assertEquals(2, sandbox.neon().branches().size());
    }

    /** Neon takes 256 characters, of which the app's id and a hyphen are the first. */
    @ParameterizedTest
    @ValueSource(strings = {"x", "日", "😀"})
    void takes_a_branch_of_the_longest_name_that_neon_takes_and_refuses_a_longer_one(String character) {
        int room = 256 - SandboxAws.APP_ID.length() - 1;
        assertEquals(0, create("--branch-name", character.repeat(room)).exitCode());
        int requests = sandbox.exchanges().size();
        Cli.Result result = create("--branch-name", character.repeat(room + 1));
        assertEquals("neon-ci: Invalid value for option '--branch-name': with '" + SandboxAws.APP_ID + "-' before it, it is longer than"
                + " the 256 characters that Neon takes for a branch. See 'neon-ci create-branch --help'.\n", result.err());
        assertEquals(2, result.exitCode());
        assertEquals(requests, sandbox.exchanges().size());
        assertEquals(0, create("--branch-name", character.repeat(room + 1), "--production-branch", character.repeat(room + 1)).exitCode());
    }

    @Test
    void takes_the_key_from_the_environment_where_no_parameter_is_named() {
        assertEquals(0, create(Map.of("NEON_API_KEY_PARAM", " ", "NEON_API_KEY", sandbox.apiKey())).exitCode());
        assertTrue(sandbox.exchanges().stream().noneMatch(exchange -> exchange.path().startsWith("/ssm")));
    }

    @Test
    void says_each_request_when_told_and_nothing_of_its_query_or_headers() {
        Cli.Result result = create("--verbose");
        List<String> lines = result.err().lines().filter(line -> line.matches("(GET|POST) .*")).toList();
        assertEquals(4, lines.size());
        lines.forEach(line -> assertTrue(line.matches("(GET|POST) /projects/[a-z0-9/_-]+ 20[01] \\d+ ms [0-9a-f-]{36}"), line));
        assertTrue(result.err().contains("ssm:GetParameter "));
    }

    @ParameterizedTest
    @ValueSource(booleans = false)
    void waits_as_long_as_neon_asks(boolean isDate) {
        ZonedDateTime later = ZonedDateTime.now(ZoneOffset.UTC).plusSeconds(2).truncatedTo(ChronoUnit.SECONDS);
        sandbox.fail("POST", "/branches$", 1, Fault.status(429, "", Map.of("Retry-After",
                isDate ? later.format(DateTimeFormatter.RFC_1123_DATE_TIME) : "1")));
        assertEquals(0, create().exitCode());
        List<Exchange> posts = requests("POST", "/branches$");
        assertEquals(2, posts.size());
        if (isDate) {
            assertFalse(Instant.now().isBefore(later.toInstant()));
        } else {
            assertTrue(posts.get(1).start() - posts.get(0).end() >= 1_000_000_000L);
        }
    }

    @ParameterizedTest
    @CsvSource({"429, run again later", "423, 'run again later, or give it longer with --wait'"})
    void does_not_wait_where_neon_asks_for_more_time_than_there_is(int status, String way) {
        sandbox.fail("POST", "/branches$", -1, Fault.status(status, "", Map.of("Retry-After", "3600")));
        Cli.Result result = create();
        assertTrue(result.err().matches("neon-ci: Could not create Neon branch '" + Cli.BRANCH + "' in project .*: Neon answered " + status
                + " .*; " + way + "\\.\n"), result.err());
        assertEquals(1, result.exitCode());
        assertEquals(List.of(status), statuses("POST", ""));
    }

    private String id() {
        return sandbox.neon().branch(Cli.BRANCH).id;
    }

    /** Returns the last connection string that Neon gave out, pooled or direct. */
    private String handedOut(boolean pooled) {
        return requests("GET", "/connection_uri$").stream().filter(exchange -> exchange.query().get("pooled").equals("" + pooled))
                .map(exchange -> Cli.json(exchange.responseBody()).path("uri").asText())
                .reduce((first, second) -> second).orElseThrow();
    }

    private String entry(String key) {
        try {
            return Files.readString(envFile).lines().filter(line -> line.startsWith(key + "=")).findFirst().orElseThrow()
                    .replaceAll("^[^\"]*\"|\"$", "");
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private JsonNode createRequest() {
        return Cli.json(requests("POST", "/branches$").get(0).requestBody());
    }

    private static String sorted(JsonNode object) {
        Map<String, String> fields = new TreeMap<>();
        object.properties().forEach(field -> fields.put(field.getKey(), field.getValue().asText()));
        return Cli.JSON.valueToTree(fields).toString();
    }
}
