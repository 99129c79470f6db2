import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.UUID;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * Neon's API for the sandbox's project. It refuses what Neon refuses, in Neon's words where they are known. Paths, parameters and answers
 * are those of Neon's OpenAPI document, https://neon.com/api_spec/release/v2.json.
 */
final class SandboxNeonApi {

    private static final Duration LONGEST_EXPIRATION = Duration.ofDays(30);
    private static final int REQUESTS_PER_SECOND_AND_ROUTE = 40;
    private static final int REQUESTS_PER_MINUTE = 700;

    private final SandboxNeon neon;
    private final String apiKey;
    private final Supplier<Instant> clock;
    private final Map<String, Deque<Long>> requestTimes = new HashMap<>();

    SandboxNeonApi(SandboxNeon neon, String apiKey, Supplier<Instant> clock) {
        this.neon = neon;
        this.apiKey = apiKey;
        this.clock = clock;
    }

    /** Answers a request to {@code /api/v2/...}. */
    SandboxHttp.Answer answer(SandboxHttp.Request request) {
        synchronized (neon) {
            try {
                return route(request);
            } catch (SandboxHttp.Refusal refusal) {
                String requestId = request.headers().getOrDefault("x-request-id", UUID.randomUUID().toString());
                Map<String, String> headers = new HashMap<>(Map.of("Content-Type", "application/json"));
                if (refusal.status == 429) {
                    headers.put("Retry-After", "1");
                }
                return new SandboxHttp.Answer(refusal.status,
                        SandboxNeonJson.error(requestId, refusal.code, refusal.getMessage()).toString(), headers);
            }
        }
    }

    private SandboxHttp.Answer route(SandboxHttp.Request request) {
        refuseIf(!("Bearer " + apiKey).equals(request.headers().get("authorization")), 401,
                "supplied credentials do not pass authentication");
        List<String> path = request.segments();
        List<String> ids = new ArrayList<>();
        StringBuilder route = new StringBuilder(request.method()).append(' ');
        for (int i = 2; i < path.size(); i += 2) {
            route.append('/').append(path.get(i));
            if (i + 1 < path.size()) {
                route.append("/{}");
                ids.add(path.get(i + 1));
            }
        }
        limitRate(route.toString());
        refuseIf(ids.isEmpty() || !SandboxNeon.PROJECT_ID.equals(ids.get(0)), 404, "project not found");
        boolean isBusy = neon.operations.values().stream().anyMatch(operation -> !operation.isOver());
        refuseIf(neon.allowsOneChangeAtATime && !"GET".equals(request.method()) && isBusy, 423,
                "project already has running conflicting operations, scheduling of new ones is prohibited");
        return answer(route.toString().replace("/projects/{}", ""), ids.size() > 1 ? ids.get(1) : "", request);
    }

    /** @param id the id of the branch or the operation in the path */
    private SandboxHttp.Answer answer(String route, String id, SandboxHttp.Request request) {
        return switch (route) {
            case "GET /branches" -> ok(listBranches(request.query()));
            case "POST /branches" -> created(createBranch(read(request.body()), null));
            case "POST /branch_anonymized" -> created(createBranch(read(request.body()).path("branch_create"), read(request.body())));
            case "GET /branches/{}" -> ok(getBranch(existing(id)));
            case "PATCH /branches/{}" -> ok(updateBranch(existing(id), read(request.body())));
            case "DELETE /branches/{}" -> deleteBranch(neon.branches.get(id));
            case "POST /branches/{}/restore" -> ok(restoreBranch(existing(id), read(request.body())));
            case "GET /branches/{}/anonymized_status" -> ok(maskingStatus(existing(id)));
            case "GET /branches/{}/masking_rules" -> ok(SandboxNeonJson.maskingRules(masking(existing(id)).rules));
            case "GET /branches/{}/endpoints" -> ok(SandboxJson.object("{\"endpoints\": %s}", endpoints(existing(id))));
            case "GET /branches/{}/roles" -> ok(SandboxJson.object("{\"roles\": %s}", roles(existing(id))));
            case "GET /branches/{}/roles/{}/reveal_password" -> ok(revealPassword(existing(id), request.segments().get(7)));
            case "GET /branches/{}/databases" -> ok(SandboxJson.object("{\"databases\": %s}", databases(existing(id))));
            case "POST /endpoints" -> created(createEndpoint(read(request.body()).path("endpoint")));
            case "GET /operations/{}" -> ok(getOperation(neon.operations.get(id)));
            case "GET /connection_uri" -> ok(connectionUri(request.query()));
            default -> throw new SandboxHttp.Refusal(404, "", "this route is not part of the sandbox: " + route);
        };
    }

    private ObjectNode listBranches(Map<String, String> query) {
        String search = query.getOrDefault("search", "").toLowerCase(Locale.ROOT);
        String sortBy = oneOf(query.getOrDefault("sort_by", "updated_at"), "name", "created_at", "updated_at");
        String sortOrder = oneOf(query.getOrDefault("sort_order", "desc"), "asc", "desc");
        String limit = query.getOrDefault("limit", "10000");
        refuseIf(!limit.matches("[1-9][0-9]{0,3}|10000"), 400, "limit must be a number from 1 to 10000");

        // Sorted by a text that no two branches share. A cursor is the text of the last branch of a page.
        NavigableMap<String, SandboxBranch> found =
                new TreeMap<>("asc".equals(sortOrder) ? Comparator.<String>naturalOrder() : Comparator.<String>reverseOrder());
        neon.branches.values().stream()
                .filter(branch -> branch.name.toLowerCase(Locale.ROOT).contains(search) || branch.id.contains(search))
                .forEach(branch -> found.put(position(branch, sortBy), branch));
        String cursor = query.get("cursor");
        NavigableMap<String, SandboxBranch> rest = cursor == null ? found
                : found.tailMap(new String(Base64.getUrlDecoder().decode(cursor), StandardCharsets.UTF_8), false);
        List<SandboxBranch> page = rest.values().stream().limit(Integer.parseInt(limit)).toList();
        String next = page.size() == rest.size() ? null : Base64.getUrlEncoder()
                .encodeToString(position(page.get(page.size() - 1), sortBy).getBytes(StandardCharsets.UTF_8));

        Map<String, ObjectNode> annotations = page.stream().filter(branch -> !branch.annotation.isEmpty())
                .collect(Collectors.toMap(branch -> branch.id, SandboxNeonJson::annotation));
        ObjectNode pagination = SandboxJson.object("""
                {"next": %s, "sort_by": %s, "sort_order": %s}""", next, sortBy, sortOrder);
        return SandboxJson.object("""
                {"branches": %s, "annotations": %s, "pagination": %s}""", page.stream().map(this::json).toList(), annotations, pagination);
    }

    private static String position(SandboxBranch branch, String sortBy) {
        String value = switch (sortBy) {
            case "name" -> branch.name;
            case "created_at" -> branch.createdAt.toString();
            default -> branch.updatedAt.toString();
        };
        return value + "\n" + branch.id;
    }

    /** @param masked the request for an anonymised branch, of which the body is a part, or null */
    private ObjectNode createBranch(JsonNode body, JsonNode masked) {
        JsonNode wanted = body.path("branch");
        String name = wanted.path("name").asText(null);
        refuseIf(name != null && (name.isEmpty() || name.codePointCount(0, name.length()) > 256), 400,
                "branch name must have 1 to 256 characters");
        String parentId = wanted.path("parent_id").asText("");
        SandboxBranch parent = parentId.isEmpty() ? neon.defaultBranch() : existing(parentId);
        refuseIf(neon.hasBranch(name), 409, "BRANCH_ALREADY_EXISTS", "branch already exists; branch_name:\"" + name + "\"");
        Instant expiresAt = expiration(wanted.path("expires_at"));
        refuseIf(parent.expiresAt != null, 422, "cannot create a branch from a parent that has an expiration");
        requireReady(parent);
        refuseIf(neon.branches.size() >= neon.branchesLimit, 422, "BRANCHES_LIMIT_EXCEEDED", "branches limit exceeded");
        List<SandboxBranch.Compute> computes = new ArrayList<>();
        body.path("endpoints").forEach(endpoint -> computes.add(compute(endpoint)));
        List<SandboxMasking.Rule> rules = new ArrayList<>();
        if (masked != null) {
            masked.path("masking_rules").forEach(rule -> rules.add(maskingRule(rule)));
        }

        SandboxBranch branch = neon.create(name, parent, "schema-only".equals(wanted.path("init_source").asText()), computes);
        branch.expiresAt = expiresAt;
        Map<String, String> annotation = new LinkedHashMap<>();
        (masked == null ? body : masked).path("annotation_value").properties()
                .forEach(entry -> annotation.put(entry.getKey(), entry.getValue().asText()));
        branch.annotation = annotation;
        branch.masking = masked == null ? null
                : new SandboxMasking(neon, branch, List.copyOf(rules), masked.path("start_anonymization").asBoolean());
        return describe(branch, startOperations(branch, "create_branch", "start_compute"));
    }

    /** Returns a new branch with everything that it has. */
    private ObjectNode describe(SandboxBranch branch, List<ObjectNode> operations) {
        ObjectNode answer = SandboxJson.object("""
                {"branch": %s, "operations": %s, "endpoints": %s, "roles": %s, "databases": %s}""",
                json(branch), operations, endpoints(branch), roles(branch), databases(branch));
        if (!branch.computes.isEmpty() && branch.passwords.size() == 1 && branch.databases.size() == 1) {
            SandboxBranch.Compute compute = branch.computes.get(0);
            String role = branch.passwords.keySet().iterator().next();
            String database = branch.databases.keySet().iterator().next();
            answer.putArray("connection_uris").add(SandboxNeonJson.connection(neon.uri(branch, role, database, false), database, role,
                    branch.passwords.get(role), neon.host(compute, false), neon.host(compute, true)));
        }
        return answer;
    }

    private static SandboxMasking.Rule maskingRule(JsonNode rule) {
        for (String name : List.of("database_name", "schema_name", "table_name", "column_name")) {
            refuseIf(rule.path(name).asText().isEmpty(), 400, "masking_rules: " + name + " is required");
        }
        refuseIf(rule.has("masking_function") == rule.has("masking_value"), 400,
                "masking_rules: either masking_function or masking_value is required");
        return SandboxMasking.Rule.of(rule);
    }

    private ObjectNode maskingStatus(SandboxBranch branch) {
        masking(branch).polled();
        return SandboxNeonJson.masking(branch, branch.masking);
    }

    private static SandboxMasking masking(SandboxBranch branch) {
        refuseIf(branch.masking == null, 404, "anonymized branch not found");
        return branch.masking;
    }

    private void requireReady(SandboxBranch branch) {
        refuseIf(!List.of("ready", "archived").contains(neon.state(branch)), 422, "branch not ready yet");
    }

    private ObjectNode getBranch(SandboxBranch branch) {
        neon.operations.values().stream().filter(operation -> operation.branchId.equals(branch.id)).forEach(SandboxOperation::polled);
        return SandboxJson.object("{\"branch\": %s, \"annotation\": %s}", json(branch), SandboxNeonJson.annotation(branch));
    }

    private ObjectNode updateBranch(SandboxBranch branch, JsonNode body) {
        Instant expiresAt = expiration(body.path("branch").path("expires_at"));
        refuseIf(expiresAt != null && (branch.isDefault || branch.isProtected || neon.hasChild(branch)), 422,
                "cannot set an expiration on a default, protected or parent branch");
        branch.expiresAt = expiresAt;
        branch.updatedAt = SandboxBranch.now();
        return changed(branch, List.of());
    }

    private SandboxHttp.Answer deleteBranch(SandboxBranch branch) {
        if (branch == null) {
            return new SandboxHttp.Answer(204, "", Map.of());
        }
        refuseIf(branch.isDefault, 422, "cannot delete the default branch");
        refuseIf(branch.isProtected, 422, "cannot delete a protected branch");
        // A schema-only branch has no parent either, but can be deleted.
        refuseIf(branch.parentId == null && !"schema-only".equals(branch.initSource), 422, "cannot delete the root branch");
        refuseIf(neon.hasChild(branch), 422, "cannot delete branch that has children: " + branch.id);
        neon.drop(branch);
        return ok(changed(branch, startOperations(branch, "delete_timeline", "suspend_compute")));
    }

    private ObjectNode restoreBranch(SandboxBranch branch, JsonNode body) {
        SandboxBranch source = existing(body.path("source_branch_id").asText());
        refuseIf(branch.isProtected, 422, "cannot restore a protected branch");
        refuseIf(branch.masking != null, 422, "the action restore is restricted: the branch is anonymized");
        refuseIf(branch.parentId == null, 422, "cannot restore a root branch from another branch");
        refuseIf(branch == source, 422, "a branch can be restored from itself only with a timestamp or an LSN");
        refuseIf(neon.hasChild(branch), 422, "cannot restore a branch that has children without preserve_under_name");
        requireReady(branch);
        requireReady(source);
        neon.reset(branch, source);
        return changed(branch, startOperations(branch, "create_branch", "apply_config"));
    }

    private ObjectNode createEndpoint(JsonNode wanted) {
        SandboxBranch branch = existing(wanted.path("branch_id").asText());
        SandboxBranch.Compute compute = compute(wanted);
        refuseIf("read_write".equals(compute.type()) && branch.readWriteCompute().isPresent(), 409,
                "read-write endpoint already exists on the branch");
        requireReady(branch);
        List<SandboxBranch.Compute> computes = new ArrayList<>(branch.computes);
        computes.add(compute);
        branch.computes = List.copyOf(computes);
        ObjectNode operation = SandboxNeonJson.operation(neon.start("start_compute", branch.id, compute.id()));
        return SandboxJson.object("{\"endpoint\": %s, \"operations\": %s}", json(branch, compute), List.of(operation));
    }

    private SandboxBranch.Compute compute(JsonNode endpoint) {
        String type = oneOf(endpoint.path("type").asText(), "read_write", "read_only");
        long suspendTimeout = endpoint.path("suspend_timeout_seconds").asLong(0);
        refuseIf(suspendTimeout < -1 || suspendTimeout > 0 && suspendTimeout < 60 || suspendTimeout > 604_800, 400,
                "suspend_timeout_seconds must be -1, 0 or between 60 and 604800");
        return neon.compute(type, suspendTimeout);
    }

    private static ObjectNode getOperation(SandboxOperation operation) {
        refuseIf(operation == null, 404, "operation not found");
        operation.polled();
        return SandboxJson.object("{\"operation\": %s}", SandboxNeonJson.operation(operation));
    }

    private static ObjectNode revealPassword(SandboxBranch branch, String role) {
        refuseIf(!branch.passwords.containsKey(role), 404, "role not found");
        return SandboxJson.object("{\"password\": %s}", branch.passwords.get(role));
    }

    private ObjectNode connectionUri(Map<String, String> query) {
        String role = query.getOrDefault("role_name", "");
        String database = query.getOrDefault("database_name", "");
        refuseIf(role.isEmpty() || database.isEmpty(), 400, "query parameters role_name and database_name are required");
        // As at Neon: a client that leaves the branch out gets production.
        SandboxBranch branch = query.containsKey("branch_id") ? existing(query.get("branch_id")) : neon.defaultBranch();
        refuseIf(!branch.passwords.containsKey(role), 404, "role not found");
        refuseIf(!branch.databases.containsKey(database), 404, "database not found");
        refuseIf(branch.readWriteCompute().isEmpty(), 404, "endpoint not found");
        refuseIf(!neon.storesPasswords, 412, "storing passwords is not enabled for the project");
        return SandboxJson.object("{\"uri\": %s}", neon.uri(branch, role, database, "true".equals(query.get("pooled"))));
    }

    /** Starts an operation of the branch and one of each of its computes. */
    private List<ObjectNode> startOperations(SandboxBranch branch, String ofBranch, String ofCompute) {
        List<ObjectNode> operations = new ArrayList<>();
        operations.add(SandboxNeonJson.operation(neon.start(ofBranch, branch.id, null)));
        branch.computes.forEach(compute -> operations.add(SandboxNeonJson.operation(neon.start(ofCompute, branch.id, compute.id()))));
        return operations;
    }

    private ObjectNode changed(SandboxBranch branch, List<ObjectNode> operations) {
        return SandboxJson.object("{\"branch\": %s, \"operations\": %s}", json(branch), operations);
    }

    private ObjectNode json(SandboxBranch branch) {
        return SandboxNeonJson.branch(branch, neon.state(branch));
    }

    private ObjectNode json(SandboxBranch branch, SandboxBranch.Compute compute) {
        return SandboxNeonJson.endpoint(branch, compute, neon.host(compute, false), neon.isStarted(compute));
    }

    private List<ObjectNode> endpoints(SandboxBranch branch) {
        return branch.computes.stream().map(compute -> json(branch, compute)).toList();
    }

    private static List<ObjectNode> roles(SandboxBranch branch) {
        return branch.passwords.keySet().stream().map(role -> SandboxNeonJson.role(branch, role)).toList();
    }

    private static List<ObjectNode> databases(SandboxBranch branch) {
        return branch.databases.entrySet().stream()
                .map(database -> SandboxNeonJson.database(branch, database.getKey(), database.getValue())).toList();
    }

    private SandboxBranch existing(String id) {
        refuseIf(!neon.branches.containsKey(id), 404, "branch not found");
        return neon.branches.get(id);
    }

    /** Returns a time of expiration; null if the field is missing or null. */
    private Instant expiration(JsonNode node) {
        if (node.isMissingNode() || node.isNull()) {
            return null;
        }
        try {
            Instant expiresAt = Instant.parse(node.asText());
            refuseIf(expiresAt.isBefore(clock.get()) || expiresAt.isAfter(clock.get().plus(LONGEST_EXPIRATION)), 400,
                    "expires_at must be in the future and at most 30 days ahead");
            return expiresAt;
        } catch (DateTimeParseException e) {
            throw new SandboxHttp.Refusal(400, "", "expires_at must be a time in RFC 3339 format");
        }
    }

    private static String oneOf(String value, String... allowed) {
        refuseIf(!List.of(allowed).contains(value), 400, "'" + value + "' must be one of " + String.join(", ", allowed));
        return value;
    }

    private static JsonNode read(String body) {
        try {
            return SandboxJson.read(body);
        } catch (IllegalArgumentException e) {
            throw new SandboxHttp.Refusal(400, "", "the request body is not JSON");
        }
    }

    private static SandboxHttp.Answer ok(JsonNode body) {
        return SandboxHttp.Answer.json(200, body);
    }

    private static SandboxHttp.Answer created(JsonNode body) {
        return SandboxHttp.Answer.json(201, body);
    }

    private static void refuseIf(boolean isRefused, int status, String message) {
        refuseIf(isRefused, status, "", message);
    }

    private static void refuseIf(boolean isRefused, int status, String code, String message) {
        if (isRefused) {
            throw new SandboxHttp.Refusal(status, code, message);
        }
    }

    private void limitRate(String route) {
        if (neon.isRateLimited && (isTooMany(route, Duration.ofSeconds(1), REQUESTS_PER_SECOND_AND_ROUTE)
                | isTooMany("", Duration.ofMinutes(1), REQUESTS_PER_MINUTE))) {
            neon.rateLimitViolations++;
            throw new SandboxHttp.Refusal(429, "", "too many requests");
        }
    }

    private boolean isTooMany(String key, Duration window, int limit) {
        long now = System.nanoTime();
        Deque<Long> times = requestTimes.computeIfAbsent(key, unused -> new ArrayDeque<>());
        times.removeIf(time -> now - time > window.toNanos());
        times.add(now);
        return times.size() > limit;
    }
}
