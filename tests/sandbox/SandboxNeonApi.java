import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.stream.Collectors;

/**
 * Neon's API for the sandbox's project. It refuses what Neon refuses, in Neon's words where they are known; paths, parameters and answers
 * are those of Neon's OpenAPI document, https://neon.com/api_spec/release/v2.json.
 */
final class SandboxNeonApi {

    private static final Duration LONGEST_EXPIRATION = Duration.ofDays(30);
    private static final int REQUESTS_PER_SECOND_AND_ROUTE = 40;
    private static final int REQUESTS_PER_MINUTE = 700;

    /** An answer other than the expected one, on its way out of whatever refuses the request. */
    private static final class Refusal extends RuntimeException {
        final int status;
        final String code;

        Refusal(int status, String code, String message) {
            super(message);
            this.status = status;
            this.code = code;
        }

        Refusal(int status, String message) {
            this(status, "", message);
        }
    }

    private final SandboxNeon neon;
    private final String apiKey;
    private final Map<String, Deque<Long>> requestTimes = new HashMap<>();

    /** @param apiKey the one key that is let in */
    SandboxNeonApi(SandboxNeon neon, String apiKey) {
        this.neon = neon;
        this.apiKey = apiKey;
    }

    /** Answers one request; {@code path} is percent-encoded and begins after {@code /api/v2}. */
    SandboxHttp.Answer answer(SandboxHttp.Request request, String path) {
        synchronized (neon) {
            try {
                return dated(route(request, path));
            } catch (Refusal refusal) {
                String requestId = request.headers().getOrDefault("x-request-id", UUID.randomUUID().toString());
                SandboxHttp.Answer answer = SandboxHttp.Answer.json(refusal.status,
                        SandboxNeonJson.error(requestId, refusal.code, refusal.getMessage()).toString());
                return dated(refusal.status == 429 ? new SandboxHttp.Answer(429, answer.body(), retryAfter(answer.headers())) : answer);
            }
        }
    }

    private SandboxHttp.Answer route(SandboxHttp.Request request, String path) {
        if (!("Bearer " + apiKey).equals(request.headers().get("authorization"))) {
            throw new Refusal(401, "supplied credentials do not pass authentication");
        }
        String[] parts = path.substring(1).split("/");
        List<String> ids = new ArrayList<>();
        for (int i = 1; i < parts.length; i += 2) {
            if (!"count".equals(parts[i])) {
                // A plus in a path is a plus, but not to this decoder.
                ids.add(URLDecoder.decode(parts[i].replace("+", "%2B"), StandardCharsets.UTF_8));
                parts[i] = "{id}";
            }
        }
        String route = request.method() + " /" + String.join("/", parts);
        countRequest(route);
        if (ids.isEmpty() || !SandboxNeon.PROJECT_ID.equals(ids.get(0))) {
            throw new Refusal(404, "project not found");
        }
        if (neon.oneChangeAtATime && !"GET".equals(request.method()) && neon.isBusy()) {
            throw new Refusal(423, "project already has running conflicting operations, scheduling of new ones is prohibited");
        }
        return answer(route, ids.size() > 1 ? ids.get(1) : "", ids.size() > 2 ? ids.get(2) : "", request);
    }

    private SandboxHttp.Answer answer(String route, String item, String role, SandboxHttp.Request request) {
        return switch (route) {
            case "GET /projects/{id}" -> ok(wrap("project", SandboxNeonJson.project(neon.branchesLimit, neon.startedAt)));
            case "GET /projects/{id}/branches" -> ok(listBranches(request.query()));
            case "POST /projects/{id}/branches" -> created(createBranch(read(request.body()), null));
            case "POST /projects/{id}/branch_anonymized" -> {
                JsonNode body = read(request.body());
                yield created(createBranch(body.path("branch_create"), body));
            }
            case "GET /projects/{id}/branches/count" -> ok(SandboxJson.object("{\"count\": %s}", neon.branches.size()));
            case "GET /projects/{id}/branches/{id}" -> ok(getBranch(item));
            case "PATCH /projects/{id}/branches/{id}" -> ok(updateBranch(existing(item), read(request.body())));
            case "DELETE /projects/{id}/branches/{id}" -> deleteBranch(item);
            case "POST /projects/{id}/branches/{id}/restore" -> ok(restoreBranch(existing(item), read(request.body())));
            case "GET /projects/{id}/branches/{id}/anonymized_status" -> ok(maskingStatus(existing(item)));
            case "POST /projects/{id}/branches/{id}/anonymize" -> ok(beginMasking(existing(item)));
            case "GET /projects/{id}/branches/{id}/masking_rules" -> ok(SandboxNeonJson.maskingRules(masking(existing(item)).rules));
            case "PATCH /projects/{id}/branches/{id}/masking_rules" -> ok(replaceMaskingRules(existing(item), read(request.body())));
            case "GET /projects/{id}/branches/{id}/endpoints" -> ok(wrap("endpoints", endpoints(existing(item))));
            case "GET /projects/{id}/branches/{id}/roles" -> ok(wrap("roles", roles(existing(item))));
            case "GET /projects/{id}/branches/{id}/roles/{id}/reveal_password" -> ok(revealPassword(existing(item), role));
            case "GET /projects/{id}/branches/{id}/databases" -> ok(wrap("databases", databases(existing(item))));
            case "POST /projects/{id}/endpoints" -> created(createEndpoint(read(request.body())));
            case "GET /projects/{id}/operations/{id}" -> ok(getOperation(item));
            case "GET /projects/{id}/connection_uri" -> ok(connectionUri(request.query()));
            default -> throw new Refusal(404, "this route is not part of the sandbox: " + route);
        };
    }

    private ObjectNode listBranches(Map<String, String> query) {
        String search = query.getOrDefault("search", "").toLowerCase(Locale.ROOT);
        String sortBy = oneOf(query.getOrDefault("sort_by", "updated_at"), "name", "created_at", "updated_at");
        String sortOrder = oneOf(query.getOrDefault("sort_order", "desc"), "asc", "desc");
        int limit = Math.min(neon.maximumPageSize, limit(query.getOrDefault("limit", "10000")));

        Comparator<SandboxBranch> order = Comparator.comparing(branch -> position(branch, sortBy));
        if ("desc".equals(sortOrder)) {
            order = order.reversed();
        }
        List<SandboxBranch> found = new ArrayList<>(neon.branches.values().stream()
                .filter(branch -> branch.name.toLowerCase(Locale.ROOT).contains(search) || branch.id.contains(search))
                .sorted(order).toList());
        String cursor = query.get("cursor");
        if (cursor != null) {
            String last = new String(Base64.getUrlDecoder().decode(cursor), StandardCharsets.UTF_8);
            int direction = "desc".equals(sortOrder) ? -1 : 1;
            found.removeIf(branch -> position(branch, sortBy).compareTo(last) * direction <= 0);
        }
        boolean more = found.size() > limit;
        List<SandboxBranch> page = more ? found.subList(0, limit) : found;
        String next = more || neon.nextOnLastPage && !page.isEmpty()
                ? Base64.getUrlEncoder().encodeToString(position(page.get(page.size() - 1), sortBy).getBytes(StandardCharsets.UTF_8))
                : neon.nextOnLastPage ? cursor : null;

        Map<String, ObjectNode> annotations = page.stream().filter(branch -> !branch.annotation.isEmpty())
                .collect(Collectors.toMap(branch -> branch.id, SandboxNeonJson::annotation));
        ObjectNode pagination = SandboxJson.object("""
                {"next": %s, "sort_by": %s, "sort_order": %s}""", next, sortBy, sortOrder);
        return SandboxJson.object("""
                {"branches": %s, "annotations": %s, "pagination": %s}""", page.stream().map(this::json).toList(), annotations, pagination);
    }

    /** Returns a branch's place in a sorted list, as text that no two branches share. A cursor is the place of the last one given. */
    private static String position(SandboxBranch branch, String sortBy) {
        String value = switch (sortBy) {
            case "name" -> branch.name;
            case "created_at" -> branch.createdAt.toString();
            default -> branch.updatedAt.toString();
        };
        return value + "\n" + branch.id;
    }

    /** @param masked the request for an anonymised branch that this is part of, or null */
    private ObjectNode createBranch(JsonNode body, JsonNode masked) {
        JsonNode wanted = body.path("branch");
        String name = wanted.path("name").asText(null);
        if (name != null) {
            checkLength(name);
        }
        String parentId = wanted.path("parent_id").asText("");
        SandboxBranch parent = parentId.isEmpty() ? neon.defaultBranch() : existing(parentId);
        checkUnused(name);
        boolean schemaOnly = "schema-only".equals(wanted.path("init_source").asText());
        Instant expiresAt = expiration(wanted.path("expires_at"));
        if (expiresAt != null && wanted.path("protected").asBoolean()) {
            throw new Refusal(422, "cannot set an expiration on a default, protected or parent branch");
        }
        checkParent(parent);
        checkLimits(schemaOnly);
        List<SandboxBranch.Compute> computes = new ArrayList<>();
        for (JsonNode endpoint : body.path("endpoints")) {
            computes.add(wantedCompute(endpoint));
        }
        Map<String, String> annotation = annotation((masked == null ? body : masked).path("annotation_value"));
        List<SandboxMasking.Rule> rules = masked == null ? List.of() : maskingRules(masked.path("masking_rules"));

        SandboxBranch branch = neon.create(name, parent, schemaOnly, computes);
        branch.annotation = annotation;
        branch.masking = masked == null ? null
                : new SandboxMasking(neon, branch, rules, masked.path("start_anonymization").asBoolean());
        branch.expiresAt = expiresAt;
        branch.isProtected = wanted.path("protected").asBoolean();
        List<ObjectNode> running = new ArrayList<>();
        running.add(start("create_branch", branch.id, null));
        computes.forEach(compute -> running.add(start("start_compute", branch.id, compute.id())));

        return created(branch, running);
    }

    private ObjectNode created(SandboxBranch branch, List<ObjectNode> running) {
        ObjectNode answer = changed(branch, running);
        answer.set("endpoints", endpoints(branch));
        answer.set("roles", roles(branch));
        answer.set("databases", databases(branch));
        if (!branch.computes.isEmpty() && branch.passwords.size() == 1 && branch.databases.size() == 1) {
            SandboxBranch.Compute compute = branch.computes.get(0);
            String role = branch.passwords.keySet().iterator().next();
            String database = branch.databases.keySet().iterator().next();
            answer.putArray("connection_uris").add(SandboxNeonJson.connection(neon.uri(branch, role, database, false), database, role,
                    branch.passwords.get(role), neon.host(compute, false), neon.host(compute, true)));
        }
        return answer;
    }

    private static Map<String, String> annotation(JsonNode value) {
        Map<String, String> annotation = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> entry : value.properties()) {
            if (!entry.getValue().isTextual()) {
                throw new Refusal(400, "annotation_value: the value of " + entry.getKey() + " must be a string");
            }
            annotation.put(entry.getKey(), entry.getValue().asText());
        }
        if (annotation.size() > 50) {
            throw new Refusal(400, "annotation_value: at most 50 properties are allowed");
        }
        return Collections.unmodifiableMap(annotation);
    }

    private static List<SandboxMasking.Rule> maskingRules(JsonNode rules) {
        List<SandboxMasking.Rule> read = new ArrayList<>();
        for (JsonNode rule : rules) {
            for (String name : List.of("database_name", "schema_name", "table_name", "column_name")) {
                if (rule.path(name).asText().isEmpty()) {
                    throw new Refusal(400, "masking_rules: " + name + " is required");
                }
            }
            if (rule.has("masking_function") == rule.has("masking_value")) {
                throw new Refusal(400, "masking_rules: either masking_function or masking_value is required");
            }
            read.add(SandboxMasking.Rule.of(rule));
        }
        return List.copyOf(read);
    }

    private ObjectNode maskingStatus(SandboxBranch branch) {
        SandboxMasking masking = masking(branch);
        masking.polled();
        return SandboxNeonJson.masking(branch, masking);
    }

    private ObjectNode beginMasking(SandboxBranch branch) {
        SandboxMasking masking = masking(branch);
        if (!masking.begin()) {
            throw new Refusal(422, "anonymization cannot be started while the branch is in state " + masking.state);
        }
        return SandboxNeonJson.masking(branch, masking);
    }

    private ObjectNode replaceMaskingRules(SandboxBranch branch, JsonNode body) {
        SandboxMasking masking = masking(branch);
        if (!masking.replaceRules(maskingRules(body.path("masking_rules")))) {
            throw new Refusal(422, "masking rules cannot be updated while the branch is in state " + masking.state);
        }
        return SandboxNeonJson.maskingRules(masking.rules);
    }

    private static SandboxMasking masking(SandboxBranch branch) {
        if (branch.masking == null) {
            throw new Refusal(404, "anonymized branch not found");
        }
        return branch.masking;
    }

    private void checkParent(SandboxBranch parent) {
        if (parent.expiresAt != null) {
            throw new Refusal(422, "cannot create a branch from a parent that has an expiration");
        }
        if (!"ready".equals(neon.state(parent)) && !"archived".equals(neon.state(parent))) {
            throw new Refusal(422, "branch not ready yet");
        }
    }

    private void checkLimits(boolean root) {
        if (neon.branches.size() >= neon.branchesLimit) {
            throw new Refusal(422, "BRANCHES_LIMIT_EXCEEDED", "branches limit exceeded");
        }
        if (root && neon.branches.values().stream().filter(branch -> branch.parentId == null).count() >= neon.rootBranchesLimit) {
            throw new Refusal(422, "ROOT_BRANCHES_LIMIT_EXCEEDED", "root branches limit exceeded");
        }
    }

    private ObjectNode getBranch(String id) {
        SandboxBranch branch = existing(id);
        neon.operations.values().stream().filter(operation -> operation.branchId.equals(id)).forEach(SandboxOperation::polled);
        ObjectNode answer = wrap("branch", json(branch));
        answer.set("annotation", SandboxNeonJson.annotation(branch));
        return answer;
    }

    private ObjectNode updateBranch(SandboxBranch branch, JsonNode body) {
        JsonNode change = body.path("branch");
        if (change.has("expires_at")) {
            Instant expiresAt = expiration(change.path("expires_at"));
            if (expiresAt != null && (branch.isDefault || branch.isProtected || neon.hasChild(branch))) {
                throw new Refusal(422, "cannot set an expiration on a default, protected or parent branch");
            }
            branch.expiresAt = expiresAt;
        }
        if (change.has("name")) {
            String name = change.path("name").asText();
            checkLength(name);
            if (!name.equals(branch.name)) {
                checkUnused(name);
            }
            branch.name = name;
        }
        if (change.has("protected")) {
            branch.isProtected = change.path("protected").asBoolean();
        }
        branch.updatedAt = SandboxBranch.now();
        return changed(branch, List.of());
    }

    private SandboxHttp.Answer deleteBranch(String id) {
        SandboxBranch branch = neon.branches.get(id);
        if (branch == null) {
            return new SandboxHttp.Answer(204, "", Map.of());
        }
        if (branch.isDefault) {
            throw new Refusal(422, "cannot delete the default branch");
        }
        if (branch.isProtected) {
            throw new Refusal(422, "cannot delete a protected branch");
        }
        // A schema-only branch has no parent either, but can be deleted.
        if (branch.parentId == null && !"schema-only".equals(branch.initSource)) {
            throw new Refusal(422, "cannot delete the root branch");
        }
        if (neon.hasChild(branch)) {
            throw new Refusal(422, "cannot delete branch that has children: " + branch.id);
        }
        neon.drop(branch);
        List<ObjectNode> running = new ArrayList<>();
        branch.computes.forEach(compute -> running.add(start("suspend_compute", branch.id, compute.id())));
        running.add(start("delete_timeline", branch.id, null));
        return ok(changed(branch, running));
    }

    private ObjectNode restoreBranch(SandboxBranch branch, JsonNode body) {
        SandboxBranch source = existing(body.path("source_branch_id").asText());
        if (branch.isProtected) {
            throw new Refusal(422, "cannot restore a protected branch");
        }
        if (branch.masking != null) {
            throw new Refusal(422, "the action restore is restricted: the branch is anonymized");
        }
        if (branch.parentId == null && source != branch) {
            throw new Refusal(422, "cannot restore a root branch from another branch");
        }
        if (neon.hasChild(branch)) {
            throw new Refusal(422, "cannot restore a branch that has children without preserve_under_name");
        }
        if (!"ready".equals(neon.state(branch)) || !"ready".equals(neon.state(source))) {
            throw new Refusal(422, "branch not ready yet");
        }
        neon.reset(branch, source);
        List<ObjectNode> running = new ArrayList<>();
        running.add(start("create_branch", branch.id, null));
        branch.computes.forEach(compute -> running.add(start("apply_config", branch.id, compute.id())));
        return changed(branch, running);
    }

    private ObjectNode createEndpoint(JsonNode body) {
        JsonNode wanted = body.path("endpoint");
        SandboxBranch branch = existing(wanted.path("branch_id").asText());
        SandboxBranch.Compute compute = wantedCompute(wanted);
        if ("read_write".equals(compute.type()) && SandboxNeon.readWrite(branch) != null) {
            throw new Refusal(409, "read-write endpoint already exists on the branch");
        }
        if (!"ready".equals(neon.state(branch))) {
            throw new Refusal(422, "branch not ready yet");
        }
        List<SandboxBranch.Compute> computes = new ArrayList<>(branch.computes);
        computes.add(compute);
        branch.computes = List.copyOf(computes);
        ObjectNode operation = start("start_compute", branch.id, compute.id());
        ObjectNode answer = wrap("endpoint", endpoint(branch, compute));
        answer.set("operations", SandboxJson.array(List.of(operation)));
        return answer;
    }

    private SandboxBranch.Compute wantedCompute(JsonNode endpoint) {
        String type = oneOf(endpoint.path("type").asText(), "read_write", "read_only");
        long suspendTimeout = endpoint.path("suspend_timeout_seconds").asLong(0);
        if (endpoint.has("suspend_timeout_seconds") && !neon.suspendTimeoutAllowed) {
            throw new Refusal(422, "suspend interval changing is not allowed for your account");
        }
        if (suspendTimeout < -1 || suspendTimeout > 0 && suspendTimeout < 60 || suspendTimeout > 604_800) {
            throw new Refusal(400, "suspend_timeout_seconds must be -1, 0 or between 60 and 604800");
        }
        return neon.compute(type, suspendTimeout);
    }

    private ObjectNode getOperation(String id) {
        SandboxOperation operation = neon.operations.get(id);
        if (operation == null) {
            throw new Refusal(404, "operation not found");
        }
        operation.polled();
        return wrap("operation", SandboxNeonJson.operation(operation));
    }

    private ObjectNode revealPassword(SandboxBranch branch, String role) {
        if (!branch.passwords.containsKey(role)) {
            throw new Refusal(404, "role not found");
        }
        return SandboxJson.object("{\"password\": %s}", branch.passwords.get(role));
    }

    private ObjectNode connectionUri(Map<String, String> query) {
        String role = required(query, "role_name");
        String database = required(query, "database_name");
        // As the real one does, and that is why no client may leave the branch out: the default branch is production.
        SandboxBranch branch = query.containsKey("branch_id") ? existing(query.get("branch_id")) : neon.defaultBranch();
        if (!branch.passwords.containsKey(role)) {
            throw new Refusal(404, "role not found");
        }
        if (!branch.databases.containsKey(database)) {
            throw new Refusal(404, "database not found");
        }
        if (SandboxNeon.readWrite(branch) == null) {
            throw new Refusal(404, "endpoint not found");
        }
        boolean pooled = Boolean.parseBoolean(query.getOrDefault("pooled", "false"));
        return SandboxJson.object("{\"uri\": %s}", neon.uri(branch, role, database, pooled));
    }

    private ObjectNode start(String action, String branchId, String endpointId) {
        return SandboxNeonJson.operation(neon.start(action, branchId, endpointId));
    }

    private ObjectNode changed(SandboxBranch branch, List<ObjectNode> running) {
        ObjectNode answer = wrap("branch", json(branch));
        answer.set("operations", SandboxJson.array(running));
        return answer;
    }

    private ObjectNode json(SandboxBranch branch) {
        return SandboxNeonJson.branch(branch, neon.state(branch));
    }

    private JsonNode endpoints(SandboxBranch branch) {
        return SandboxJson.array(branch.computes.stream().map(compute -> endpoint(branch, compute)).toList());
    }

    private ObjectNode endpoint(SandboxBranch branch, SandboxBranch.Compute compute) {
        return SandboxNeonJson.endpoint(branch, compute, neon.host(compute, false), neon.isStarted(compute));
    }

    private JsonNode roles(SandboxBranch branch) {
        return SandboxJson.array(branch.passwords.keySet().stream().map(role -> SandboxNeonJson.role(branch, role)).toList());
    }

    private JsonNode databases(SandboxBranch branch) {
        return SandboxJson.array(branch.databases.entrySet().stream()
                .map(database -> SandboxNeonJson.database(branch, database.getKey(), database.getValue())).toList());
    }

    private SandboxBranch existing(String id) {
        SandboxBranch branch = neon.branches.get(id);
        if (branch == null) {
            throw new Refusal(404, "branch not found");
        }
        return branch;
    }

    private static void checkLength(String name) {
        if (name.isEmpty() || name.codePointCount(0, name.length()) > 256) {
            throw new Refusal(400, "branch name must have 1 to 256 characters");
        }
    }

    private void checkUnused(String name) {
        if (neon.hasBranch(name)) {
            throw new Refusal(409, "BRANCH_ALREADY_EXISTS", "branch already exists; branch_name:\"" + name + "\"");
        }
    }

    /** Reads a time of expiration; null where the field is missing or null. */
    private Instant expiration(JsonNode node) {
        if (node.isMissingNode() || node.isNull()) {
            return null;
        }
        try {
            Instant expiresAt = Instant.parse(node.asText());
            if (expiresAt.isBefore(neon.clock.instant()) || expiresAt.isAfter(neon.clock.instant().plus(LONGEST_EXPIRATION))) {
                throw new Refusal(400, "expires_at must be in the future and at most 30 days ahead");
            }
            return expiresAt;
        } catch (DateTimeParseException e) {
            throw new Refusal(400, "expires_at must be a time in RFC 3339 format");
        }
    }

    private static String required(Map<String, String> query, String name) {
        if (query.getOrDefault(name, "").isEmpty()) {
            throw new Refusal(400, "query parameter " + name + " is required");
        }
        return query.get(name);
    }

    private static String oneOf(String value, String... allowed) {
        if (!List.of(allowed).contains(value)) {
            throw new Refusal(400, "'" + value + "' must be one of " + String.join(", ", allowed));
        }
        return value;
    }

    private static int limit(String text) {
        if (!text.matches("[0-9]{1,5}") || Integer.parseInt(text) < 1 || Integer.parseInt(text) > 10_000) {
            throw new Refusal(400, "limit must be a number from 1 to 10000");
        }
        return Integer.parseInt(text);
    }

    /** Returns an object of one field, the way Neon wraps every answer. */
    private static ObjectNode wrap(String field, JsonNode value) {
        return SandboxJson.object("{%s: %s}", field, value);
    }

    private static JsonNode read(String body) {
        try {
            return SandboxJson.read(body);
        } catch (IllegalArgumentException e) {
            throw new Refusal(400, "the request body is not JSON");
        }
    }

    private static SandboxHttp.Answer ok(JsonNode body) {
        return SandboxHttp.Answer.json(200, body.toString());
    }

    private static SandboxHttp.Answer created(JsonNode body) {
        return SandboxHttp.Answer.json(201, body.toString());
    }

    private void countRequest(String route) {
        if (neon.rateLimited && (isTooMany(route, Duration.ofSeconds(1), REQUESTS_PER_SECOND_AND_ROUTE)
                | isTooMany("", Duration.ofMinutes(1), REQUESTS_PER_MINUTE))) {
            neon.rateLimitViolations++;
            throw new Refusal(429, "too many requests");
        }
    }

    private boolean isTooMany(String key, Duration window, int limit) {
        long now = System.nanoTime();
        Deque<Long> times = requestTimes.computeIfAbsent(key, unused -> new ArrayDeque<>());
        times.removeIf(time -> now - time > window.toNanos());
        times.add(now);
        return times.size() > limit;
    }

    private SandboxHttp.Answer dated(SandboxHttp.Answer answer) {
        Map<String, String> headers = new LinkedHashMap<>(answer.headers());
        headers.put("Date", DateTimeFormatter.RFC_1123_DATE_TIME.format(neon.clock.instant().atOffset(ZoneOffset.UTC)));
        return new SandboxHttp.Answer(answer.status(), answer.body(), headers);
    }

    private static Map<String, String> retryAfter(Map<String, String> headers) {
        Map<String, String> more = new LinkedHashMap<>(headers);
        more.put("Retry-After", "1");
        return more;
    }
}
