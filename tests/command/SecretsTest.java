//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletionException;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/** Secrets are written to the env file, and nowhere else. */
class SecretsTest extends InSandbox {

    @ParameterizedTest
    @ValueSource(strings = {"a:b?c#d&e=f", "%2F%40", "new\nline", "npg_%/@+$'\"`\\ ü"})
    void a_password_of_any_characters_is_only_in_the_env_file(String password) throws IOException {
        sandbox.neon().passwords(() -> password);
        sandbox.neon().roles("production", "neondb_owner");
        for (String more : List.of("--output text", "--reset", "--output json --expires-in 1d", "--dry-run")) {
            Cli.Result result = create(more.split(" "));
            assertEquals(0, result.exitCode(), more);
            Cli.assertNoSecret(forms(password), result.out(), result.err());
        }
        sandbox.neon().operationsEnd("failed", "cannot set the password " + TextNode.valueOf(password));
        sandbox.neon().operationsTakePolls(1);
        Cli.Result failed = create("--reset");
        assertEquals(1, failed.exitCode());
        Cli.assertNoSecret(forms(password), failed.out(), failed.err());

        List<String> lines = Files.readAllLines(envFile);
        assertEquals(2, lines.size());
        for (String line : lines) {
            assertTrue(line.matches("DATABASE_URL(_UNPOOLED)?=\"[^\\s\"'`$\\\\]+\""), "a shell or a parser would change the value");
            String value = line.replaceAll("^[^\"]*\"|\"$", "");
            assertTrue(URI.create(value).getUserInfo().equals("neondb_owner:" + password), "the file has another password");
        }
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of(envFile), files.toList());
        }
    }

    @ParameterizedTest
    @CsvSource({"GET,/branches$", "POST,/branches$", "PATCH,/branches/", "GET,/roles$", "GET,/connection_uri$", "DELETE,/branches/"})
    void a_secret_in_an_error_of_neon_is_not_printed(String method, String path) {
        boolean isNew = method.equals("POST");
        SandboxBranch existing = sandbox.neon().add(isNew ? "another" : Cli.BRANCH);
        sandbox.neon().add(SandboxAws.APP_ID + "-gone");
        sandbox.neon().passwords(() -> "npg_AbCdEfGh1234");
        sandbox.neon().roles(existing.id, "neondb_owner");
        String uri = sandbox.neon().connectionString(existing.id);
        String encoded = URLEncoder.encode(uri, StandardCharsets.UTF_8);
        for (String secret : List.of(sandbox.apiKey(), "key=" + sandbox.apiKey() + "&x", uri, encoded)) {
            sandbox.failNoMore();
            sandbox.fail(method, path, -1, Fault.status(400, Cli.JSON.createObjectNode().put("code", "BAD " + secret)
                    .put("message", "cannot use " + secret + " now").put("request_id", secret).toString(), Map.of("X-Request-ID", "x")));
            Cli.Result result = method.equals("DELETE") ? cleanUp("--output", "json", "--verbose") : create("--expires-in", "1d");
            assertEquals(1, result.exitCode());
            assertTrue(result.err().contains("400 BAD "), "the error is named");
            Cli.assertNoSecret(Set.of("AbCdEfGh1234", sandbox.apiKey(), uri), result.out(), result.err());
        }
    }

    @ParameterizedTest
    @CsvSource({"/operations/,running", "/operations/,failed", "/anonymized_status$,anonymizing", "/anonymized_status$,error",
            "/anonymized_status$,initialization_error"})
    void a_secret_in_the_status_of_an_operation_or_a_masking_is_not_printed(String path, String status) throws IOException {
        String rules = rules().toString();
        sandbox.neon().operationsTakePolls(1);
        for (String secret : List.of(sandbox.apiKey(), "postgresql://u:p@h/d\nneon-ci: all is well")) {
            ObjectNode answer = Cli.JSON.createObjectNode().put("state", status).put("status_message", "do " + secret);
            answer.putObject("operation").put("id", "op-1").put("action", "do " + secret).put("status", status);
            sandbox.failNoMore();
            sandbox.fail("GET", path, -1, Fault.status(200, answer.toString(), Map.of()));
            Cli.Result result = create("--masking-rules", rules, "--branch-name", "b" + secret.length(), "--wait", "2s");
            assertEquals(1, result.exitCode());
            assertTrue(result.err().contains("do ***"), "the status is printed");
            assertFalse((result.out() + result.err()).matches("(?s).*(p@h|all is well).*"), "a connection string is printed");
        }
    }

    /** The messages of an exception that is a bug can hold anything. */
    @Test
    void a_bug_prints_classes_and_frames_without_messages() throws Exception {
        StringWriter err = new StringWriter();
        CommandLine command = NeonCi.commandLine(Map.of()).setErr(new PrintWriter(err, true));
        Exception bug = new IllegalStateException("secret", new CompletionException("secret", new StackOverflowError("secret")));
        assertEquals(1, command.getExecutionExceptionHandler().handleExecutionException(bug, command, null));
        assertTrue(err.toString().matches("(?s)neon-ci: Unexpected error[^\n]*\njava\\.lang\\.IllegalStateException\n\tat SecretsTest\\..*"
                + "\njava\\.util\\.concurrent\\.CompletionException\n\tat .*\njava\\.lang\\.StackOverflowError\n\tat .*"), err.toString());
        assertFalse(err.toString().contains("secret"));
    }

    /** Whoever mixes up options or quotes puts a connection string where a name belongs. */
    @ParameterizedTest
    @ValueSource(strings = {"--database-name", "--role-name", "--parent-branch", "--branch-name", "--production-branch", "--env-var",
            "--param", "--api-key-param", "--env-file", "--masking-rules", "--keep"})
    void a_connection_string_on_the_command_line_is_not_printed(String option) {
        String value = "postgresql://neondb_owner:AbCdEfGh1234@ep-x.neon.tech/neondb";
        sandbox.neon().add(SandboxAws.APP_ID + "-" + value);
        Cli.Result result = option.equals("--keep") ? cleanUp(option, value) : create(option, value);
        Cli.assertNoSecret(Set.of("AbCdEfGh1234"), result.out(), result.err());
    }

    @ParameterizedTest
    @ValueSource(strings = {"npg_AbCdEfGh1234", "neondb_owner:AbCdEfGh1234@ep-x.neon.tech", "postgresql:neondb_owner:AbCdEfGh1234@ep-x",
            "postgresql%3a//neondb_owner:AbCdEfGh1234@ep-x"})
    void a_password_on_the_command_line_is_not_printed(String value) {
        for (String option : List.of("--role-name", "--parent-branch", "--masking-rules")) {
            Cli.Result result = create(option, value);
            Cli.assertNoSecret(Set.of("AbCdEfGh1234"), result.out(), result.err());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {301, 302, 303, 307, 308})
    void no_credential_is_sent_to_the_target_of_a_redirect(int status) {
        try (Sandbox elsewhere = Sandbox.withoutPostgres()) {
            sandbox.neon().add(Cli.BRANCH);
            sandbox.neon().add(SandboxAws.APP_ID + "-gone");
            for (String request : List.of("POST /ssm", "GET /api/.*/branches$", "GET /roles$", "PATCH /branches/",
                    "POST /branches/.*/restore$", "POST /branches$", "GET /amplify/", "DELETE /branches/")) {
                sandbox.failNoMore();
                String[] parts = request.split(" ");
                sandbox.fail(parts[0], parts[1], -1, Fault.status(status, "", Map.of("Location", elsewhere.address() + "/api/v2/projects/"
                        + SandboxNeon.PROJECT_ID + "/branches")));
                Cli.Result result = request.equals("GET /amplify/") || request.startsWith("DELETE") ? cleanUp()
                        : request.equals("POST /branches$") ? create("--branch-name", "new") : create("--expires-in", "1d", "--reset");
                assertEquals(1, result.exitCode(), request);
                assertTrue(result.err().contains("answered " + status), result.err());
            }
            assertEquals(List.of(), elsewhere.exchanges());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"napi_line\nbreak", "napi_carriage\rreturn", "napi_two words", "napi_ümlaut", "napi_nul\0"})
    void a_key_with_an_illegal_character_is_named_by_its_variable_and_not_printed(String key) {
        Cli.Result result = create(Map.of("NEON_API_KEY_PARAM", "", "NEON_API_KEY", key));
        assertTrue(result.err().startsWith("neon-ci: The value of NEON_API_KEY is not a Neon API key: "), "the variable is not named");
        assertEquals(1, result.err().lines().count());
        assertFalse((result.out() + result.err()).contains("napi_"), "the key is printed");
        assertEquals(1, result.exitCode());
        assertEquals(List.of(), sandbox.exchanges());
    }

    @Tag("slow")
    @Test
    void no_secret_is_on_a_command_line_or_in_a_temporary_file_while_a_build_waits() throws Exception {
        Path temporary = Files.createDirectory(folder.resolve("temporary"));
        sandbox.neon().add(Cli.BRANCH);
        // The two requests of the build get their responses when there is a third.
        sandbox.hold("GET", "/connection_uri$", 3);
        ProcessBuilder builder = new ProcessBuilder(Shell.java("create-branch", "--env-file", envFile.toString()))
                .redirectOutput(folder.resolve("out").toFile())
                .redirectError(folder.resolve("err").toFile());
        builder.environment().putAll(sandbox.environment(Map.of("JAVA_TOOL_OPTIONS", "-Djava.io.tmpdir=" + temporary)));
        Process build = builder.start();
        try {
            sandbox.await(exchanges -> !build.isAlive() || requests("GET", "/connection_uri$").size() == 2);
            assertTrue(build.isAlive());
            assertEquals(0, build.descendants().count(), "a child process was started");
            Path commandLine = Path.of("/proc", String.valueOf(build.pid()), "cmdline");
            String seen = Files.exists(commandLine) ? Files.readString(commandLine) : build.info().commandLine().orElse("");
            assertTrue(seen.contains("create-branch"));
            Cli.assertNoSecret(sandbox.secrets(), seen);
            assertNoSecretInFiles(Set.of(folder.resolve("out"), folder.resolve("err")));

            HttpURLConnection third = (HttpURLConnection) new URL(sandbox.address() + "/api/v2/connection_uri").openConnection();
            assertEquals(401, third.getResponseCode());
            assertEquals(0, build.waitFor());
        } finally {
            build.destroyForcibly();
        }
        Files.delete(envFile);
        assertNoSecretInFiles(Set.of(folder.resolve("out"), folder.resolve("err")));
    }

    @Test
    void a_secret_in_the_code_of_an_aws_error_is_not_printed() {
        for (String code : List.of("x postgresql://u:hidden@h/d", "x".repeat(5_000))) {
            sandbox.failNoMore();
            sandbox.fail("POST", "/ssm", 1, Fault.status(400, "{\"__type\":\"" + code + "\",\"message\":\"no\"}", Map.of()));
            Cli.Result result = create();
            assertFalse(result.err().contains("hidden"), result.err());
            assertTrue(result.err().length() < 1_000, () -> "printed " + result.err().length() + " characters");
        }
    }

    private void assertNoSecretInFiles(Set<Path> expected) throws IOException {
        try (Stream<Path> files = Files.walk(folder).filter(Files::isRegularFile)) {
            Set<Path> there = files.collect(Collectors.toSet());
            assertEquals(expected, there);
            for (Path file : there) {
                Cli.assertNoSecret(sandbox.secrets(), Files.readString(file));
            }
        }
    }

    @Override
    Cli.Result create(Map<String, String> changes, String... more) {
        return super.create(changes, Stream.concat(Stream.of("-v"), Stream.of(more)).toArray(String[]::new));
    }

    /** Returns a text in the usual encodings. */
    private static Set<String> forms(String secret) {
        String encoded = URLEncoder.encode(secret, StandardCharsets.UTF_8);
        String json = TextNode.valueOf(secret).toString();
        // Not Set.of: some of the forms can be equal.
        return new HashSet<>(List.of(secret, encoded, encoded.replace("+", "%20"), encoded.toLowerCase(Locale.ROOT),
                json.substring(1, json.length() - 1), Base64.getEncoder().encodeToString(secret.getBytes(StandardCharsets.UTF_8))));
    }
}
