//SOURCES Sandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.http.SdkHttpMethod;
import software.amazon.awssdk.http.SdkHttpRequest;
import software.amazon.awssdk.http.auth.aws.signer.AwsV4HttpSigner;

/** The stand-ins themselves: a test against them is worth what they are worth. */
class SandboxTest {

    private static final int PATIENCE_MILLIS = 10_000;
    private static final String NEON = "/api/v2/projects/" + SandboxNeon.PROJECT_ID;

    private final Sandbox sandbox = Sandbox.withoutPostgres();
    private final ExecutorService threads = Executors.newCachedThreadPool();

    @AfterEach
    void close() {
        threads.shutdownNow();
        sandbox.close();
    }

    @ParameterizedTest
    @ValueSource(strings = {"name asc", "name desc", "created_at asc", "created_at desc", "updated_at asc", "updated_at desc"})
    void pages_hold_every_branch_once_in_any_order(String order) throws IOException {
        IntStream.range(0, 9).forEach(i -> sandbox.neon().add("branch " + i));
        sandbox.neon().maximumPageSize(4);
        String query = "/branches?sort_by=" + order.split(" ")[0] + "&sort_order=" + order.split(" ")[1] + "&limit=10000";
        List<String> names = new ArrayList<>();
        List<Integer> sizes = new ArrayList<>();
        String cursor = null;
        do {
            JsonNode page = json(neon("GET", query + (cursor == null ? "" : "&cursor=" + cursor), ""));
            page.path("branches").forEach(branch -> names.add(branch.path("name").asText()));
            sizes.add(page.path("branches").size());
            cursor = page.path("pagination").path("next").asText(null);
        } while (cursor != null);
        assertEquals(List.of(4, 4, 2), sizes);
        assertEquals(Stream.concat(IntStream.range(0, 9).mapToObj(i -> "branch " + i), Stream.of("production")).toList(),
                names.stream().sorted().toList());
    }

    @Test
    void a_next_cursor_on_the_last_page_leads_to_an_empty_page_with_the_same_cursor() throws IOException {
        sandbox.neon().nextOnLastPage();
        String cursor = json(neon("GET", "/branches", "")).path("pagination").path("next").asText();
        JsonNode page = json(neon("GET", "/branches?cursor=" + cursor, ""));
        assertEquals(0, page.path("branches").size());
        assertEquals(cursor, page.path("pagination").path("next").asText());
    }

    @Test
    void without_a_branch_the_connection_string_is_the_default_branchs() throws IOException {
        SandboxBranch branch = sandbox.neon().add("x");
        String query = "/connection_uri?role_name=neondb_owner&database_name=neondb";
        String production = json(neon("GET", query, "")).path("uri").asText();
        assertEquals(sandbox.neon().connectionString("production"), production);
        String own = json(neon("GET", query + "&branch_id=" + branch.id, "")).path("uri").asText();
        assertEquals(sandbox.neon().connectionString("x"), own);
        assertFalse(own.equals(production));
    }

    @Test
    void a_connection_strings_host_is_its_computes_with_pooler_after_the_id_if_pooled() throws IOException {
        SandboxBranch branch = sandbox.neon().add("x").disableCompute();
        JsonNode endpoint = json(neon("GET", "/branches/" + branch.id + "/endpoints", "")).path("endpoints").path(0);
        String id = endpoint.path("id").asText();
        String host = endpoint.path("host").asText();
        assertTrue(endpoint.path("disabled").asBoolean());
        assertEquals(host, id + "." + endpoint.path("proxy_host").asText());
        String query = "/connection_uri?role_name=neondb_owner&database_name=neondb&branch_id=" + branch.id + "&pooled=";
        assertEquals(host, URI.create(json(neon("GET", query + "false", "")).path("uri").asText()).getHost());
        assertEquals(host.replace(id, id + "-pooler"), URI.create(json(neon("GET", query + "true", "")).path("uri").asText()).getHost());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            a used name      | production | 409 | BRANCH_ALREADY_EXISTS
            no name          | ''         | 400 | ''
            over the limit   | x          | 422 | BRANCHES_LIMIT_EXCEEDED
            """)
    void neon_refuses_a_branch_for(String reason, String name, int status, String code) throws IOException {
        sandbox.neon().branchesLimit(1);
        Reply reply = neon("POST", "/branches", "{\"branch\":{\"name\":\"" + name + "\"}}");
        assertEquals(status, reply.status());
        assertEquals(code, json(reply).path("code").asText());
        assertEquals(1, sandbox.neon().branches().size());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            the default branch   | production
            a protected branch   | protected
            a parent             | parent
            """)
    void neon_refuses_to_delete(String what, String name) throws IOException {
        sandbox.neon().add("protected").makeProtected();
        sandbox.neon().add("parent");
        sandbox.neon().add("child", "parent");
        assertEquals(422, neon("DELETE", "/branches/" + sandbox.neon().branch(name).id, "").status());
        assertEquals(4, sandbox.neon().branches().size());
    }

    @Test
    void neon_deletes_a_branch_once_and_then_has_no_content() throws IOException {
        String path = "/branches/" + sandbox.neon().add("x").id;
        assertEquals(200, neon("DELETE", path, "").status());
        assertEquals(204, neon("DELETE", path, "").status());
        assertFalse(sandbox.neon().hasBranch("x"));
    }

    @Test
    void an_expiring_branch_has_no_children() throws IOException {
        String id = sandbox.neon().add("x").expiresAt(Instant.now().plus(Duration.ofDays(1))).id;
        assertEquals(422, neon("POST", "/branches", "{\"branch\":{\"name\":\"y\",\"parent_id\":\"" + id + "\"}}").status());
    }

    @ParameterizedTest
    @CsvSource({"production, 422", "protected, 422", "parent, 422", "child, 200"})
    void an_expiry_is_set_and_taken_back_where_a_branch_may_expire(String name, int status) throws IOException {
        sandbox.neon().add("protected").makeProtected();
        sandbox.neon().add("parent");
        sandbox.neon().add("child", "parent");
        SandboxBranch branch = sandbox.neon().branch(name);
        Instant soon = SandboxBranch.now().plus(Duration.ofDays(3));
        assertEquals(status, neon("PATCH", "/branches/" + branch.id, "{\"branch\":{\"expires_at\":\"" + soon + "\"}}").status());
        assertEquals(status == 200 ? soon : null, branch.expiresAt);
        assertEquals(200, neon("PATCH", "/branches/" + branch.id, "{\"branch\":{\"expires_at\":null}}").status());
        assertEquals(null, branch.expiresAt);
    }

    @Test
    void a_protected_branch_is_not_made_to_expire() throws IOException {
        Instant soon = Instant.now().plus(Duration.ofDays(3));
        assertEquals(422, neon("POST", "/branches",
                "{\"branch\":{\"name\":\"x\",\"protected\":true,\"expires_at\":\"" + soon + "\"}}").status());
    }

    @Test
    void an_expired_branch_is_gone_when_its_time_has_passed() {
        SandboxBranch branch = sandbox.neon().add("x").expiresAt(Instant.now().plus(Duration.ofDays(3)));
        Instant madeAt = branch.createdAt;
        sandbox.neon().passTime(Duration.ofDays(2));
        assertTrue(sandbox.neon().hasBranch("x"));
        assertEquals(madeAt.minus(Duration.ofDays(2)), branch.createdAt);
        sandbox.neon().passTime(Duration.ofDays(1));
        assertFalse(sandbox.neon().hasBranch("x"));
        assertTrue(sandbox.neon().hasBranch("production"));
    }

    @Test
    void an_instant_restore_leaves_a_backup_that_the_children_are_of() {
        sandbox.neon().add("child");
        SandboxBranch backup = sandbox.neon().restoreInstantly("production");
        assertTrue(backup.name.matches("production_old_\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ"), backup.name);
        assertEquals(backup.id, sandbox.neon().branch("child").parentId);
        assertEquals(null, backup.parentId);
        assertTrue(sandbox.neon().branch("production").isDefault && !backup.isDefault);
    }

    @Test
    void a_branch_is_not_ready_until_it_was_asked_for_often_enough() throws IOException {
        sandbox.neon().operationsTake(Duration.ZERO);
        sandbox.neon().operationsTakePolls(2);
        String id = json(neon("POST", "/branches", "{\"branch\":{\"name\":\"x\"}}")).path("branch").path("id").asText();
        List<String> states = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            states.add(json(neon("GET", "/branches/" + id, "")).path("branch").path("current_state").asText());
        }
        assertEquals(List.of("init", "ready", "ready"), states);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            started at once    | true  |                      | created initialized initialized anonymizing anonymizing anonymized
            not started        | false |                      | created initialized initialized initialized initialized initialized
            failing            | true  | error                | created initialized initialized anonymizing anonymizing error
            failing at first   | true  | initialization_error | created initialization_error initialization_error
            """)
    void a_masking_goes_on_as_it_is_asked_about(String what, boolean start, String failure, String states) throws IOException {
        sandbox.neon().maskingTakes(Duration.ZERO, 2);
        sandbox.neon().maskingFails(failure, "relation does not exist", 1);
        String id = createMasked(start);
        List<String> seen = new ArrayList<>();
        for (int i = 0; i < states.split(" ").length; i++) {
            seen.add(json(neon("GET", "/branches/" + id + "/anonymized_status", "")).path("state").asText());
        }
        assertEquals(List.of(states.split(" ")), seen);
        JsonNode last = json(neon("GET", "/branches/" + id + "/anonymized_status", ""));
        assertEquals(failure != null, "relation does not exist".equals(last.path("status_message").asText()));
        assertEquals(failure != null, last.has("failed_at"));
    }

    @Test
    void a_masking_that_failed_can_be_begun_anew() throws IOException {
        sandbox.neon().maskingTakes(Duration.ZERO, 0);
        sandbox.neon().maskingFails("error", "relation does not exist", 1);
        String path = "/branches/" + createMasked(true);
        assertEquals("error", json(neon("GET", path + "/anonymized_status", "")).path("state").asText());
        assertEquals("anonymizing", json(neon("POST", path + "/anonymize", "")).path("state").asText());
        assertEquals(422, neon("POST", path + "/anonymize", "").status());
        assertEquals("anonymized", json(neon("GET", path + "/anonymized_status", "")).path("state").asText());
    }

    @Test
    void an_anonymised_branch_is_like_others_but_cannot_be_restored() throws IOException {
        String id = createMasked(true);
        assertEquals(Map.of("app", "shop"), sandbox.neon().branch(id).annotation);
        assertEquals(1, sandbox.neon().branch(id).computes.size());
        assertEquals("restore", json(neon("GET", "/branches/" + id, "")).at("/branch/restricted_actions/0/name").asText());
        String parent = "{\"source_branch_id\":\"" + sandbox.neon().branch("production").id + "\"}";
        assertEquals(422, neon("POST", "/branches/" + id + "/restore", parent).status());
        String other = "/branches/" + sandbox.neon().add("x").id;
        assertEquals(404, neon("GET", other + "/anonymized_status", "").status());
        assertEquals(404, neon("POST", other + "/anonymize", "").status());
    }

    @Test
    void a_masking_rule_needs_its_four_names() throws IOException {
        assertEquals(400, neon("POST", "/branch_anonymized", """
                {"masking_rules":[{"database_name":"neondb","table_name":"users","column_name":"name","masking_value":"x"}]}""").status());
        assertEquals(1, sandbox.neon().branches().size());
    }

    private String createMasked(boolean start) throws IOException {
        Reply reply = neon("POST", "/branch_anonymized", """
                {"branch_create": {"branch": {"name": "masked"}, "endpoints": [{"type": "read_write"}]},
                 "masking_rules": [{"database_name": "neondb", "schema_name": "public", "table_name": "users", "column_name": "name",
                     "masking_value": "x"}],
                 "start_anonymization": %s, "annotation_value": {"app": "shop"}}""".formatted(start));
        assertEquals(201, reply.status(), reply.body());
        return json(reply).path("branch").path("id").asText();
    }

    @Test
    void one_change_at_a_time_locks_the_project_while_operations_run() throws IOException {
        sandbox.neon().oneChangeAtATime();
        sandbox.neon().operationsTake(Duration.ofDays(1));
        assertEquals(201, neon("POST", "/branches", "{\"branch\":{\"name\":\"x\"}}").status());
        assertEquals(423, neon("POST", "/branches", "{\"branch\":{\"name\":\"y\"}}").status());
        assertEquals(200, neon("GET", "/branches", "").status());
    }

    @Test
    void too_many_requests_are_refused_for_a_while_when_the_rate_is_limited() throws IOException {
        sandbox.neon().limitRate();
        int requests = 0;
        Reply reply;
        do {
            reply = neon("GET", "/branches", "");
            requests++;
        } while (reply.status() == 200);
        assertEquals(429, reply.status());
        assertTrue(reply.head().contains("Retry-After: 1\r\n"), reply.head());
        assertTrue(requests > 40, "the limit of 40 requests a second was reached by request " + requests);
        assertEquals(1, sandbox.neon().rateLimitViolations());
    }

    @Test
    void a_request_with_a_wrong_key_learns_nothing() throws IOException {
        Reply reply = send("GET", NEON, "Authorization: Bearer napi_x\r\nX-Request-ID: abc\r\n", "", PATIENCE_MILLIS);
        assertEquals(401, reply.status());
        assertEquals("abc", json(reply).path("request_id").asText());
    }

    @Test
    void a_status_comes_as_often_as_told_and_the_request_takes_no_effect() throws IOException {
        sandbox.fail("POST", "/branches$", 2, Fault.status(503, "{}", Map.of("Retry-After", "7")));
        for (int i = 0; i < 2; i++) {
            Reply reply = neon("POST", "/branches", "{\"branch\":{\"name\":\"x\"}}");
            assertEquals(503, reply.status());
            assertTrue(reply.head().contains("Retry-After: 7\r\n"), reply.head());
        }
        assertFalse(sandbox.neon().hasBranch("x"));
        assertEquals(201, neon("POST", "/branches", "{\"branch\":{\"name\":\"x\"}}").status());
    }

    @Test
    void a_reset_before_comes_for_ever_and_the_request_takes_no_effect() {
        sandbox.fail("POST", "/branches$", -1, Fault.resetBefore());
        for (int i = 0; i < 3; i++) {
            assertThrows(SocketException.class, () -> neon("POST", "/branches", "{\"branch\":{\"name\":\"x\"}}"));
        }
        assertFalse(sandbox.neon().hasBranch("x"));
        assertEquals(List.of(0, 0, 0), sandbox.exchanges().stream().map(Exchange::status).toList());
    }

    @Test
    void a_reset_after_loses_the_answer_of_a_request_that_took_effect() {
        sandbox.fail("POST", "/branches$", 1, Fault.resetAfter());
        assertThrows(SocketException.class, () -> neon("POST", "/branches", "{\"branch\":{\"name\":\"x\"}}"));
        assertTrue(sandbox.neon().hasBranch("x"));
    }

    @Test
    void a_cut_answer_announces_more_than_it_holds() throws IOException {
        sandbox.fail("POST", "/branches$", 1, Fault.cut());
        Reply reply = neon("POST", "/branches", "{\"branch\":{\"name\":\"x\"}}");
        assertEquals(201, reply.status());
        assertTrue(reply.head().contains("Content-Length: " + 2 * reply.body().length())
                || reply.head().contains("Content-Length: " + (2 * reply.body().length() + 1)), reply.head());
        assertEquals(reply.body(), sandbox.exchanges().get(0).responseBody());
        assertTrue(sandbox.neon().hasBranch("x"));
    }

    @ParameterizedTest
    @CsvSource({"200", "524"})
    void a_proxys_page_hides_the_answer_of_a_request_that_took_effect(int status) throws IOException {
        sandbox.fail("POST", "/branches$", 1, status == 200 ? Fault.notJson() : Fault.html524());
        Reply reply = neon("POST", "/branches", "{\"branch\":{\"name\":\"x\"}}");
        assertEquals(status, reply.status());
        assertTrue(reply.body().startsWith("<!DOCTYPE html>"), reply.body());
        assertTrue(sandbox.neon().hasBranch("x"));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_request_that_hangs_may_have_taken_effect_and_gets_no_answer(boolean takesEffect) {
        sandbox.fail("POST", "/branches$", 1, takesEffect ? Fault.hangAfter() : Fault.hangBefore());
        String headers = "Authorization: Bearer " + sandbox.apiKey() + "\r\n";
        assertThrows(SocketTimeoutException.class, () -> send("POST", NEON + "/branches", headers,
                "{\"branch\":{\"name\":\"x\"}}", 500));
        sandbox.await(exchanges -> !exchanges.isEmpty());
        assertEquals(takesEffect, sandbox.neon().hasBranch("x"));
    }

    @Test
    void held_requests_are_seen_and_are_answered_when_all_have_come() throws Exception {
        sandbox.hold("GET", "/branches$", 3);
        List<CompletableFuture<Reply>> replies = new ArrayList<>();
        for (int i = 1; i <= 3; i++) {
            int come = i;
            replies.add(CompletableFuture.supplyAsync(() -> unchecked("GET", "/branches"), threads));
            if (come < 3) {
                sandbox.await(exchanges -> exchanges.size() == come);
                assertEquals(0, sandbox.exchanges().get(0).status());
            }
        }
        for (CompletableFuture<Reply> reply : replies) {
            assertEquals(200, reply.get().status());
        }
        assertEquals(200, neon("GET", "/branches", "").status());
        assertEquals(List.of(200, 200, 200, 200), sandbox.exchanges().stream().map(Exchange::status).toList());
    }

    @Test
    void the_world_changes_once_when_told_and_before_the_request_takes_effect() throws IOException {
        sandbox.when("GET", "/branches$", () -> sandbox.neon().add("x"));
        assertEquals(2, json(neon("GET", "/branches", "")).path("branches").size());
        assertEquals(2, json(neon("GET", "/branches", "")).path("branches").size());
    }

    @Test
    void requests_that_overlap_do_not_lengthen_the_chain() {
        List<Exchange> chain = Exchange.longestChain(
                List.of(exchange("a", 0, 10), exchange("b", 5, 30), exchange("c", 11, 20), exchange("d", 31, 40)));
        assertEquals(List.of("a", "c", "d"), chain.stream().map(Exchange::path).toList());
    }

    /** The example that AWS computes step by step in its description of how to sign a request. */
    @ParameterizedTest
    @CsvSource({
            "iam, 5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7, true",
            "iam, 5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d8, false",
            "sts, 5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7, false"})
    void a_signature_counts_for_the_very_request_and_service(String service, String signature, boolean isValid) {
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

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            this key, service and time  | 0   | amplify |                    | 200 |
            a header that is not signed | 0   | amplify | X-Amz-Meaning: new | 403 | The request signature we calculated
            another service's name      | 0   | ssm     |                    | 403 | The request signature we calculated
            a clock that is a bit slow  | -4  | amplify |                    | 200 |
            a clock that is slow        | 10  | amplify |                    | 403 | Signature expired: 2
            a clock that is fast        | -10 | amplify |                    | 403 | Signature not yet current: 2
            """)
    void aws_judges_a_request_signed_with(String what, int skew, String service, String unsigned, int status, String message)
            throws IOException {
        sandbox.aws().clockSkew(Duration.ofMinutes(skew));
        Instant before = Instant.now().plus(Duration.ofMinutes(skew)).minusSeconds(1);
        String headers = sign("GET", "/amplify/apps/" + SandboxAws.APP_ID + "/branches", service)
                + (unsigned == null ? "" : unsigned + "\r\n");
        Reply reply = send("GET", "/amplify/apps/" + SandboxAws.APP_ID + "/branches", headers, "", PATIENCE_MILLIS);
        assertEquals(status, reply.status(), reply.body());
        assertTrue(message == null || json(reply).path("message").asText().startsWith(message), reply.body());
        String told = reply.head().replaceAll("(?s).*\r\nDate: ([^\r]*).*", "$1");
        Instant date = DateTimeFormatter.RFC_1123_DATE_TIME.parse(told, Instant::from);
        assertTrue(date.isAfter(before) && date.isBefore(before.plusSeconds(60)), reply.head());
    }

    @Test
    void an_amplify_branch_comes_and_goes_without_a_signature_but_is_not_listed_so() throws IOException {
        String branches = "/amplify/apps/" + SandboxAws.APP_ID + "/branches";
        Reply made = send("POST", branches, "", """
                {"branchName":"pr-7","stage":"PULL_REQUEST","sourceBranch":"feature/x"}""", PATIENCE_MILLIS);
        assertEquals("feature/x", json(made).path("branch").path("sourceBranch").asText());
        assertEquals(400, send("POST", branches, "", "{\"branchName\":\"pr-7\"}", PATIENCE_MILLIS).status());
        assertEquals(403, send("GET", branches, "", "", PATIENCE_MILLIS).status());
        assertEquals(200, send("DELETE", branches + "/pr-7", "", "", PATIENCE_MILLIS).status());
        assertEquals(404, send("DELETE", branches + "/pr-7", "", "", PATIENCE_MILLIS).status());
        assertEquals(200, send("DELETE", branches + "/feature%2Flogin", "", "", PATIENCE_MILLIS).status());
    }

    /** Returns the headers of a request to AWS, signed by the newer of the SDK's signers: the sandbox uses the older. */
    private String sign(String method, String path, String service) {
        URI uri = URI.create(sandbox.address() + path);
        SdkHttpRequest unsigned = SdkHttpRequest.builder().method(SdkHttpMethod.fromValue(method)).uri(uri).build();
        String secret = sandbox.systemProperties().get("aws.secretAccessKey");
        AwsBasicCredentials key = AwsBasicCredentials.create(SandboxAws.ACCESS_KEY_ID, secret);
        SdkHttpRequest signed = AwsV4HttpSigner.create().sign(request -> request.identity(key).request(unsigned)
                .putProperty(AwsV4HttpSigner.SERVICE_SIGNING_NAME, service)
                .putProperty(AwsV4HttpSigner.REGION_NAME, SandboxAws.REGION)).request();
        return signed.headers().entrySet().stream().filter(header -> !header.getKey().equals("Host"))
                .map(header -> header.getKey() + ": " + header.getValue().get(0) + "\r\n").collect(Collectors.joining());
    }

    private static Exchange exchange(String path, long start, long end) {
        return new Exchange(start, end, "GET", path, Map.of(), Map.of(), "", 200, "");
    }

    private record Reply(int status, String head, String body) {
    }

    private Reply neon(String method, String path, String body) throws IOException {
        return send(method, NEON + path, "Authorization: Bearer " + sandbox.apiKey() + "\r\n", body, PATIENCE_MILLIS);
    }

    private Reply unchecked(String method, String path) {
        try {
            return neon(method, path, "");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Sends a request over a socket, since an HTTP client has ways of its own to deal with faults. */
    private Reply send(String method, String path, String headers, String body, int patienceMillis) throws IOException {
        URI address = sandbox.address();
        try (Socket socket = new Socket(address.getHost(), address.getPort())) {
            socket.setSoTimeout(patienceMillis);
            String request = "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s"
                    .formatted(method, path, address.getAuthority(), body.length(), headers, body);
            socket.getOutputStream().write(request.getBytes(StandardCharsets.UTF_8));
            String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int end = answer.indexOf("\r\n\r\n");
            return new Reply(Integer.parseInt(answer.split(" ")[1]), answer.substring(0, end + 2), answer.substring(end + 4));
        }
    }

    private static JsonNode json(Reply reply) throws JsonProcessingException {
        return new ObjectMapper().readTree(reply.body());
    }
}
