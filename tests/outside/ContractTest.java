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
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Holds every request of the commands and every answer of the sandbox against Neon's OpenAPI document, which npm brings.
 */
class ContractTest extends InSandbox {

    private static final String DOCUMENT = "public-v2-for-users.gen.yaml";

    private static OpenApiInteractionValidator neon;

    @BeforeAll
    static void read() throws IOException {
        Path document = Npm.packages("@neondatabase/api-client@2.7.3").resolve("node_modules/@neondatabase/api-client").resolve(DOCUMENT);
        neon = OpenApiInteractionValidator.createForInlineApiSpecification(Files.readString(document))
                .withResolveCombinators(true)
                // The judge would let any parameter pass, misspelt ones too.
                .withLevelResolver(LevelResolver.create()
                        .withLevel("validation.request.parameter.query.unexpected", ValidationReport.Level.ERROR).build())
                .build();
    }

    @Test
    void both_commands_and_the_sandbox_speak_as_neon_says() throws IOException {
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
        sandbox.neon().maximumPageSize(2);
        succeed("cleanup-branches", "--grace", "30d");
        succeed("cleanup-branches");
        assertEquals(2, sandbox.neon().branches().size());

        assertEquals(Set.of("DELETE /branches/{id}", "GET /branches", "GET /branches/{id}", "GET /branches/{id}/databases",
                "GET /branches/{id}/anonymized_status", "GET /branches/{id}/endpoints", "GET /branches/{id}/masking_rules",
                "GET /branches/{id}/roles", "GET /connection_uri", "GET /operations/{id}",
                "PATCH /branches/{id}", "POST /branch_anonymized", "POST /branches",
                "POST /branches/{id}/restore", "POST /endpoints"), judge());
    }

    @Test
    void the_sandbox_refuses_as_neon_does() throws IOException {
        sandbox.when("POST", "/branches$", () -> sandbox.neon().add(Cli.BRANCH));
        succeed("create-branch");
        sandbox.neon().branchesLimit(2);
        fail("create-branch", "--branch-name", "one-too-many");
        sandbox.fail("DELETE", "", 1, Fault.neon(422, "", "cannot delete branch that has children"));
        sandbox.neon().add(SandboxAws.APP_ID + "-gone");
        fail("cleanup-branches");
        sandbox.when("PATCH", "", () -> sandbox.neon().branch(Cli.BRANCH).makeProtected());
        fail("create-branch", "--expires-in", "1d");
        fail("create-branch", "--project-id", "no-such-project");
        fail("create-branch", "--role-name", "nobody");
        fail("create-branch", "--masking-rules", rules().toString());
        assertTrue(sandbox.exchanges().stream().map(Exchange::status).toList().containsAll(List.of(404, 409, 422)));
        judge();
    }

    @Test
    void what_the_sandbox_answers_others_is_as_neon_says() throws Exception {
        String branchId = sandbox.neon().add(Cli.BRANCH).id;
        for (String path : List.of("", "/branches/count", "/branches/" + branchId,
                "/branches/" + branchId + "/roles/neondb_owner/reveal_password", "/branches/br-none",
                "/operations/00000000-0000-4000-8000-000000000000")) {
            ask("GET", path, sandbox.apiKey());
        }
        ask("GET", "/branches", "napi_wrong");
        ask("DELETE", "/branches/br-none", sandbox.apiKey());
        ask("DELETE", "/branches/" + sandbox.neon().branch("production").id, sandbox.apiKey());
        assertEquals(List.of(200, 200, 200, 200, 404, 404, 401, 204, 422), sandbox.exchanges().stream().map(Exchange::status).toList());
        judge();
    }

    @Test
    void the_judge_finds_what_is_wrong() {
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

    /** Judges all that was said to Neon and by Neon so far. Returns which of its operations were asked for. */
    private Set<String> judge() {
        Set<String> operations = new TreeSet<>();
        List<String> wrong = new ArrayList<>();
        int judged = 0;
        for (Exchange exchange : sandbox.exchanges()) {
            if (!exchange.path().startsWith("/api/")) {
                continue;
            }
            SimpleRequest.Builder request = new SimpleRequest.Builder(exchange.method(), exchange.path());
            exchange.query().forEach(request::withQueryParam);
            exchange.requestHeaders().forEach(request::withHeader);
            if (!exchange.requestBody().isEmpty()) {
                request.withBody(exchange.requestBody());
            }
            SimpleResponse.Builder response = new SimpleResponse.Builder(exchange.status());
            if (!exchange.responseBody().isEmpty()) {
                response.withContentType("application/json").withBody(exchange.responseBody());
            }
            ValidationReport report = neon.validate(request.build(), response.build());
            report.getMessages().stream().filter(message -> message.getLevel() == ValidationReport.Level.ERROR)
                    .forEach(message -> wrong.add(exchange + ": " + message.getKey() + ", " + message.getMessage()));
            operations.add(exchange.method() + " " + exchange.path().replaceFirst("^/api/v2/projects/[^/]+", "")
                    .replaceFirst("^/(branches|operations)/[^/]+", "/$1/{id}"));
            judged++;
        }
        assertEquals(List.of(), wrong);
        assertTrue(judged > 0);
        System.err.println("ContractTest: " + judged + " exchanges judged");
        return operations;
    }

    private void succeed(String... args) {
        Cli.Result result = run(args);
        assertEquals(0, result.exitCode(), result.err());
    }

    private void fail(String... args) {
        Cli.Result result = run(args);
        assertEquals(1, result.exitCode(), result.err());
    }

    @Override
    Cli.Result run(String... args) {
        String[] more = Arrays.copyOfRange(args, 1, args.length);
        return args[0].equals("create-branch") ? create(more) : cleanUp(more);
    }

    private void ask(String method, String path, String key) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(sandbox.address() + "/api/v2/projects/" + SandboxNeon.PROJECT_ID + path))
                .method(method, HttpRequest.BodyPublishers.noBody()).header("Authorization", "Bearer " + key).build();
        HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.discarding());
    }
}
