//SOURCES Sandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;

/** What the other tests rely on and could not notice if it were missing: refusals, faults, and changes at a given moment. */
class SandboxTest {

    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private static final String CREATE = "{\"branch\":{\"name\":\"x\"}}";

    private final Sandbox sandbox = Sandbox.withoutPostgres();

    @AfterEach
    void close() {
        sandbox.close();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            create with a name in use        | POST   | /branches          | {"branch":{"name":"parent"}}                     | 409
            create without a name            | POST   | /branches          | {"branch":{"name":""}}                           | 400
            create from an expiring branch   | POST   | /branches          | {"branch":{"name":"y","parent_id":"<expiring>"}} | 422
            delete the default branch        | DELETE | /branches/<production>         |                                      | 422
            delete a protected branch        | DELETE | /branches/<protected>          |                                      | 422
            delete a parent                  | DELETE | /branches/<parent>             |                                      | 422
            let the default branch expire    | PATCH  | /branches/<production>         | {"branch":{"expires_at":"SOON"}}     | 422
            let a protected branch expire    | PATCH  | /branches/<protected>          | {"branch":{"expires_at":"SOON"}}     | 422
            let a parent expire              | PATCH  | /branches/<parent>             | {"branch":{"expires_at":"SOON"}}     | 422
            reset a protected branch         | POST   | /branches/<protected>/restore  | {"source_branch_id":"<production>"}  | 422
            reset a masked branch            | POST   | /branches/<masked>/restore     | {"source_branch_id":"<production>"}  | 422
            reset a branch to itself         | POST   | /branches/<child>/restore      | {"source_branch_id":"<child>"}       | 422
            mask without a schema            | POST   | /branch_anonymized | {"masking_rules":[{"database_name":"d"}]}        | 400
            """)
    void refuses_to(String what, String method, String path, String body, int status) {
        sandbox.neon().add("protected").makeProtected();
        sandbox.neon().add("parent");
        sandbox.neon().add("child", "parent");
        sandbox.neon().add("expiring").expiresAt(Instant.now().plus(Duration.ofDays(1)));
        SandboxBranch masked = sandbox.neon().add("masked");
        masked.masking = new SandboxMasking(sandbox.neon(), masked, List.of(), true);
        List<String> names = sandbox.neon().names();
        assertEquals(status, neon(method, withIds(path), body == null ? "" : withIds(body)).statusCode());
        assertEquals(names, sandbox.neon().names());
        assertEquals(1, sandbox.neon().branches().stream().filter(branch -> branch.expiresAt != null).count());
    }

    private String withIds(String text) {
        String result = text.replace("SOON", Instant.now().plus(Duration.ofDays(3)).toString());
        for (SandboxBranch branch : sandbox.neon().branches()) {
            result = result.replace("<" + branch.name + ">", branch.id);
        }
        return result;
    }

    @Test
    void lists_every_branch_once_over_pages() {
        IntStream.range(0, 9).forEach(i -> sandbox.neon().add("branch " + i));
        List<String> names = new ArrayList<>();
        List<Integer> sizes = new ArrayList<>();
        String cursor = "";
        do {
            JsonNode page = json(neon("GET", "/branches?sort_by=name&sort_order=asc&limit=4" + cursor, ""));
            page.path("branches").forEach(branch -> names.add(branch.path("name").asText()));
            sizes.add(page.path("branches").size());
            cursor = "&cursor=" + page.at("/pagination/next").asText();
        } while (!cursor.equals("&cursor="));
        assertEquals(List.of(4, 4, 2), sizes);
        assertEquals(sandbox.neon().names().stream().sorted().toList(), names);
    }

    @Test
    void a_connection_string_without_a_branch_is_the_default_branchs() {
        String id = sandbox.neon().add("x").id;
        String query = "/connection_uri?role_name=neondb_owner&database_name=neondb";
        assertEquals(sandbox.neon().connectionString("production"), json(neon("GET", query, "")).path("uri").asText());
        assertEquals(sandbox.neon().connectionString("x"), json(neon("GET", query + "&branch_id=" + id, "")).path("uri").asText());
        assertNotEquals(sandbox.neon().connectionString("production"), sandbox.neon().connectionString("x"));
    }

    @Test
    void a_branch_has_the_passwords_of_its_parent_unless_that_is_protected() {
        SandboxBranch production = sandbox.neon().branch("production");
        assertEquals(production.passwords, sandbox.neon().add("x").passwords);
        production.makeProtected();
        assertEquals(production.passwords.keySet(), sandbox.neon().add("y").passwords.keySet());
        assertNotEquals(production.passwords, sandbox.neon().branch("y").passwords);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({"status, 503, false", "resetBefore, reset, false", "resetAfter, reset, true", "restart, reset, false", "cut, reset, true",
            "notJson, 200, true", "html524, 524, true", "hangBefore, none, false", "hangAfter, none, true", "stall, none, true"})
    void fails_once_by(String fault, String outcome, boolean takesEffect) {
        sandbox.fail("POST", "/branches$", 1, switch (fault) {
            case "status" -> Fault.status(503, "{}", Map.of());
            case "resetBefore" -> Fault.resetBefore();
            case "resetAfter" -> Fault.resetAfter();
            case "restart" -> Fault.restart();
            case "cut" -> Fault.cut();
            case "notJson" -> Fault.notJson();
            case "html524" -> Fault.html524();
            case "hangBefore" -> Fault.hangBefore();
            case "hangAfter" -> Fault.hangAfter();
            default -> Fault.stall();
        });
        CompletableFuture<String> answer = send("POST", "/branches", CREATE)
                .handle((response, error) -> error != null ? "reset" : String.valueOf(response.statusCode()));
        sandbox.await(exchanges -> exchanges.size() == 1);
        assertEquals(outcome, outcome.equals("none") ? answer.getNow("none") : answer.join());
        assertEquals(takesEffect, sandbox.neon().hasBranch("x"));
        if (!fault.equals("restart")) {
            assertEquals(takesEffect ? 409 : 201, neon("POST", "/branches", CREATE).statusCode());
        }
    }

    @Test
    void holds_back_answers_until_all_requests_have_arrived() {
        sandbox.hold("GET", "/branches$", 2);
        CompletableFuture<HttpResponse<String>> first = send("GET", "/branches", "");
        sandbox.await(exchanges -> exchanges.size() == 1);
        assertEquals(0, sandbox.exchanges().get(0).status());
        assertEquals(200, neon("GET", "/branches", "").statusCode());
        assertEquals(200, first.join().statusCode());
        assertEquals(List.of(200, 200), sandbox.exchanges().stream().map(Exchange::status).toList());
    }

    @Test
    void changes_something_once_before_the_nth_request() {
        sandbox.when(2, "GET", "/branches$", () -> sandbox.neon().add("x"));
        List<Integer> sizes = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            sizes.add(json(neon("GET", "/branches", "")).path("branches").size());
        }
        assertEquals(List.of(1, 2, 2), sizes);
    }

    @Test
    void limits_the_rate_of_requests() {
        sandbox.neon().isRateLimited = true;
        List<Integer> statuses = new ArrayList<>();
        while (!statuses.contains(429)) {
            HttpResponse<String> response = neon("GET", "/branches", "");
            statuses.add(response.statusCode());
            assertEquals(response.statusCode() == 429, response.headers().firstValue("Retry-After").isPresent());
        }
        assertTrue(statuses.size() > 40, statuses::toString);
        assertEquals(1, sandbox.neon().rateLimitViolations);
    }

    @Test
    void sends_the_time_of_its_own_clock() {
        sandbox.clockSkew(Duration.ofDays(-4));
        String date = neon("GET", "/branches", "").headers().firstValue("Date").orElseThrow();
        Duration behind = Duration.between(DateTimeFormatter.RFC_1123_DATE_TIME.parse(date, Instant::from), Instant.now());
        assertEquals(Duration.ofDays(4).toHours(), behind.toHours());
    }

    @Test
    void the_longest_chain_leaves_out_requests_that_overlap() {
        List<Exchange> chain = Exchange.longestChain(
                List.of(exchange("a", 0, 10), exchange("b", 5, 30), exchange("c", 11, 20), exchange("d", 31, 40)));
        assertEquals(List.of("a", "c", "d"), chain.stream().map(Exchange::path).toList());
    }

    /** The example that AWS computes step by step in its documentation of signatures. */
    @ParameterizedTest
    @CsvSource({
            "iam, 5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7, true",
            "iam, 5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d8, false",
            "sts, 5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7, false"})
    void a_signature_is_valid_only_for_its_request_and_service(String service, String signature, boolean isValid) {
        SandboxHttp.Request request = new SandboxHttp.Request("GET", "/", Map.of("Action", "ListUsers", "Version", "2010-05-08"), Map.of(
                "host", "iam.amazonaws.com",
                "content-type", "application/x-www-form-urlencoded; charset=utf-8",
                "x-amz-date", "20150830T123600Z",
                "authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request,"
                        + " SignedHeaders=content-type;host;x-amz-date, Signature=" + signature), "");
        AwsBasicCredentials key = AwsBasicCredentials.create("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        assertEquals(isValid ? Optional.of(new SandboxSignature("us-east-1", Instant.parse("2015-08-30T12:36:00Z"))) : Optional.empty(),
                SandboxSignature.of(request, key, service));
    }

    private static Exchange exchange(String path, long start, long end) {
        return new Exchange(start, end, "GET", path, Map.of(), Map.of(), "", 200, "");
    }

    private HttpResponse<String> neon(String method, String path, String body) {
        return send(method, path, body).join();
    }

    private CompletableFuture<HttpResponse<String>> send(String method, String path, String body) {
        HttpRequest request = HttpRequest.newBuilder(URI.create(sandbox.address() + "/api/v2/projects/" + SandboxNeon.PROJECT_ID + path))
                .method(method, HttpRequest.BodyPublishers.ofString(body)).header("Authorization", "Bearer " + sandbox.apiKey()).build();
        return CLIENT.sendAsync(request, HttpResponse.BodyHandlers.ofString());
    }

    private static JsonNode json(HttpResponse<String> response) {
        return SandboxJson.read(response.body());
    }
}
