//DEPS com.atlassian.oai:swagger-request-validator-core:2.46.0
//SOURCES ../command/InSandbox.java
//SOURCES Npm.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.atlassian.oai.validator.OpenApiInteractionValidator;
import com.atlassian.oai.validator.model.Request;
import com.atlassian.oai.validator.model.SimpleRequest;
import com.atlassian.oai.validator.model.SimpleResponse;
import com.atlassian.oai.validator.report.LevelResolver;
import com.atlassian.oai.validator.report.ValidationReport;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Compares the requests of both commands, and the answers of the sandbox, to Neon's OpenAPI document, which is in an npm package. */
class ContractTest extends InSandbox {

    private static OpenApiInteractionValidator neon;

    @BeforeAll
    static void readDocument() throws IOException {
        neon = OpenApiInteractionValidator.createForInlineApiSpecification(Files.readString(Npm.packages("@neondatabase/api-client@2.7.3")
                        .resolve("node_modules/@neondatabase/api-client/public-v2-for-users.gen.yaml")))
                .withResolveCombinators(true)
                // By default any parameter is valid, misspelled ones too.
                .withLevelResolver(LevelResolver.create()
                        .withLevel("validation.request.parameter.query.unexpected", ValidationReport.Level.ERROR).build())
                .build();
    }

    @AfterEach
    void every_exchange_follows_the_document() {
        List<String> errors = new ArrayList<>();
        for (Exchange exchange : requests(".*", "")) {
            SimpleRequest.Builder request = new SimpleRequest.Builder(exchange.method(), exchange.path());
            exchange.query().forEach(request::withQueryParam);
            exchange.requestHeaders().forEach(request::withHeader);
            SimpleResponse.Builder response = new SimpleResponse.Builder(exchange.status());
            if (!exchange.requestBody().isEmpty()) {
                request.withBody(exchange.requestBody());
            }
            if (!exchange.responseBody().isEmpty()) {
                response.withContentType("application/json").withBody(exchange.responseBody());
            }
            neon.validate(request.build(), response.build()).getMessages().stream()
                    .filter(message -> message.getLevel() == ValidationReport.Level.ERROR)
                    .forEach(message -> errors.add(exchange + ": " + message.getKey() + ", " + message.getMessage()));
        }
        assertEquals(List.of(), errors);
    }

    @Test
    void both_commands_send_only_these_requests() throws IOException {
        sandbox.neon().operationsTakePolls(2);
        succeed("create-branch");
        succeed("create-branch", "--reset", "--expires-in", "7d", "--role-name", "neondb_owner", "--database-name", "neondb");
        succeed("create-branch", "--dry-run", "--branch-name", "planned");
        succeed("create-branch", "--branch-name", "schema", "--schema-only", "--suspend-timeout", "-1");
        succeed("create-branch", "--branch-name", "short", "--parent-branch", "production", "--expires-in", "12h", "--suspend-timeout",
                "60");
        sandbox.neon().add(SandboxAws.APP_ID + "-bare").withoutCompute();
        succeed("create-branch", "--branch-name", "bare", "--suspend-timeout", "604800");
        String rules = rules().toString();
        sandbox.neon().maskingFails("error", "no such column", 1);
        fail("create-branch", "--branch-name", "masked", "--masking-rules", rules, "--expires-in", "7d", "--suspend-timeout", "60");
        sandbox.neon().remove(SandboxAws.APP_ID + "-masked");
        succeed("create-branch", "--branch-name", "masked", "--masking-rules", rules);
        succeed("create-branch", "--branch-name", "masked", "--masking-rules", rules);
        succeed("cleanup-branches", "--grace", "30d");
        succeed("cleanup-branches");
        assertEquals(2, sandbox.neon().branches().size());

        Set<String> operations = new TreeSet<>();
        requests(".*", "").forEach(exchange -> operations.add(exchange.method() + " " + exchange.path()
                .replaceFirst("^/api/v2/projects/[^/]+", "").replaceFirst("^/(branches|operations)/[^/]+", "/$1/{id}")));
        assertEquals(Set.of("DELETE /branches/{id}", "GET /branches", "GET /branches/{id}", "GET /branches/{id}/databases",
                "GET /branches/{id}/anonymized_status", "GET /branches/{id}/endpoints", "GET /branches/{id}/masking_rules",
                "GET /branches/{id}/roles", "GET /connection_uri", "GET /operations/{id}", "PATCH /branches/{id}",
                "POST /branch_anonymized", "POST /branches", "POST /branches/{id}/restore", "POST /endpoints"), operations);
    }

    @Test
    void the_sandbox_refuses_as_neon_does() throws Exception {
        sandbox.when("POST", "/branches$", () -> sandbox.neon().add(Cli.BRANCH));
        succeed("create-branch");
        sandbox.neon().branchesLimit = 2;
        fail("create-branch", "--branch-name", "one-too-many");
        sandbox.when("PATCH", "", () -> sandbox.neon().branch(Cli.BRANCH).makeProtected());
        fail("create-branch", "--expires-in", "1d");
        fail("create-branch", "--project-id", "no-such-project");
        sandbox.neon().storesPasswords = false;
        fail("create-branch");
        for (String path : List.of("/branches/br-none", "/operations/00000000-0000-4000-8000-000000000000")) {
            send("GET", path, sandbox.apiKey());
        }
        send("GET", "/branches", "napi_wrong");
        send("DELETE", "/branches/br-none", sandbox.apiKey());
        assertTrue(sandbox.exchanges().stream().map(Exchange::status).toList().containsAll(List.of(204, 401, 404, 409, 412, 422)));
    }

    @Test
    void the_sandbox_answers_other_requests_as_neon_does() throws Exception {
        sandbox.neon().roles("production", "neondb_owner", "web_access");
        String branch = "/branches/" + sandbox.neon().add("x").disableCompute().id;
        for (String path : List.of(branch, branch + "/endpoints", branch + "/roles", branch + "/roles/neondb_owner/reveal_password")) {
            send("GET", path, sandbox.apiKey());
        }
        assertEquals(Set.of(200), Set.copyOf(statuses(".*", "")));
    }

    @Test
    void the_validator_finds_errors() {
        for (String body : List.of("{\"branch\":{\"name\":\"x\"},\"endpoints\":[]}", "{\"branch\":{\"name\":\"x\"},\"endpoint\":[]}")) {
            SimpleRequest request = SimpleRequest.Builder.post("/api/v2/projects/p/branches").withAuthorization("Bearer x")
                    .withContentType("application/json").withBody(body).build();
            assertEquals(body.contains("endpoint\""), neon.validateRequest(request).hasErrors(), body);
        }
        for (String parameter : List.of("cursor", "page")) {
            SimpleRequest request = SimpleRequest.Builder.get("/api/v2/projects/p/branches").withAuthorization("Bearer x")
                    .withQueryParam(parameter, "2").build();
            assertEquals(parameter.equals("page"), neon.validateRequest(request).hasErrors(), parameter);
        }
        for (String body : List.of("{\"uri\":\"postgresql://h/d\"}", "{}", "{\"uri\":1}", "{\"uri\":\"\",\"url\":\"\"}")) {
            SimpleResponse response = SimpleResponse.Builder.ok().withContentType("application/json").withBody(body).build();
            assertEquals(!body.contains("h/d"),
                    neon.validateResponse("/api/v2/projects/p/connection_uri", Request.Method.GET, response).hasErrors(), body);
        }
    }

    private void succeed(String... args) {
        assertExitCode(0, args);
    }

    private void fail(String... args) {
        assertExitCode(1, args);
    }

    private void assertExitCode(int expected, String... args) {
        List<String> all = new ArrayList<>(List.of(args));
        if (args[0].equals("create-branch")) {
            all.addAll(List.of("--env-file", envFile.toString()));
        }
        Cli.Result result = run(all.toArray(String[]::new));
        assertEquals(expected, result.exitCode(), result.err());
    }

    private void send(String method, String path, String key) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(sandbox.address() + "/api/v2/projects/" + SandboxNeon.PROJECT_ID + path))
                .method(method, HttpRequest.BodyPublishers.noBody()).header("Authorization", "Bearer " + key).build();
        HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.discarding());
    }
}
