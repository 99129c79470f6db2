import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
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
import java.util.Random;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.Supplier;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * The stand-in for Neon's API, with one project. It keeps state and refuses what Neon refuses, in Neon's words where they are known; paths,
 * parameters and answers are those of Neon's OpenAPI document, https://neon.com/api_spec/release/v2.json.
 */
final class SandboxNeon {

    static final String PROJECT_ID = "quiet-sandbox-12345678";

    private static final Duration LONGEST_EXPIRATION = Duration.ofDays(30);
    private static final int REQUESTS_PER_SECOND_AND_ROUTE = 40;
    private static final int REQUESTS_PER_MINUTE = 700;
    private static final List<String> ADJECTIVES = List.of("aged", "calm", "damp", "fancy", "jolly", "late", "quiet", "raspy", "sweet", "wispy");
    private static final List<String> NOUNS = List.of("art", "bar", "dew", "field", "hill", "mud", "pine", "river", "salad", "violet");

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

    private final ObjectMapper mapper = new ObjectMapper();
    private final SandboxNeonJson json = new SandboxNeonJson(PROJECT_ID);
    private final Random random = new Random();
    private final String apiKey;
    private final Consumer<String> secrets;
    private final SandboxPostgres postgres;
    private final Instant startedAt = SandboxBranch.now();
    private final Map<String, SandboxBranch> branches = new LinkedHashMap<>();
    private final Map<String, SandboxOperation> operations = new LinkedHashMap<>();
    private final Map<String, Deque<Long>> requestTimes = new HashMap<>();

    private Supplier<String> passwordGenerator = this::randomPassword;
    private Duration operationsTake = Duration.ofMillis(50);
    private int operationsTakePolls = 0;
    private SandboxOperation.End operationsEnd = SandboxOperation.End.FINISHED;
    private int maximumPageSize = 10_000;
    private boolean nextOnLastPage = false;
    private int branchesLimit = 5_000;
    private int rootBranchesLimit = 25;
    private boolean suspendTimeoutAllowed = true;
    private boolean oneChangeAtATime = false;
    private boolean rateLimited = false;
    private int rateLimitViolations = 0;

    /**
     * Starts with the project's default branch, {@code production}, with the role {@code neondb_owner} and the database {@code neondb}.
     *
     * @param apiKey the one key that is let in
     * @param secrets is handed every password and connection string
     * @param postgres holds the branches' databases, or null: then connection strings lead nowhere
     */
    SandboxNeon(String apiKey, Consumer<String> secrets, SandboxPostgres postgres) {
        this.apiKey = apiKey;
        this.secrets = secrets;
        this.postgres = postgres;
        SandboxBranch production = new SandboxBranch(id("br"), "production", null);
        production.isDefault = true;
        production.passwords = passwords(List.of("neondb_owner"));
        production.databases = Map.of("neondb", "neondb_owner");
        production.computes = List.of(compute("read_write", 0));
        branches.put(production.id, production);
        if (postgres != null) {
            postgres.createFirst(production);
        }
    }

    // What tests and the sandbox's story set up and look at.

    /** Returns all branches, oldest first. */
    synchronized List<SandboxBranch> branches() {
        return List.copyOf(branches.values());
    }

    /** Returns the branch with this name or id. Throws IllegalArgumentException if there is none. */
    synchronized SandboxBranch branch(String nameOrId) {
        return branches.values().stream().filter(branch -> branch.id.equals(nameOrId) || branch.name.equals(nameOrId)).findFirst()
                .orElseThrow(() -> new IllegalArgumentException("no Neon branch is called " + nameOrId));
    }

    synchronized boolean hasBranch(String name) {
        return branches.values().stream().anyMatch(branch -> branch.name.equals(name));
    }

    /** Adds a child of the default branch, ready, with a compute, as if someone had made it in Neon's console. */
    SandboxBranch add(String name) {
        return add(name, defaultBranch().name);
    }

    /** Adds a child of another branch, given by its name or id. */
    synchronized SandboxBranch add(String name, String parent) {
        return create(name, branch(parent), false, List.of(compute("read_write", 0)));
    }

    /** Makes this branch, given by its name or id, the project's default branch. */
    synchronized void makeDefault(String nameOrId) {
        SandboxBranch chosen = branch(nameOrId);
        branches.values().forEach(branch -> branch.isDefault = branch == chosen);
    }

    /** Deletes a branch, as if someone had deleted it in Neon's console. */
    synchronized void remove(String nameOrId) {
        drop(branch(nameOrId));
    }

    /** Returns the direct connection string of a branch, given by its name or id, for its first role and database. */
    synchronized String connectionString(String nameOrId) {
        SandboxBranch branch = branch(nameOrId);
        return uri(branch, branch.passwords.keySet().iterator().next(), branch.databases.keySet().iterator().next(), false);
    }

    /** Gives a branch these roles in place of what it has, each with a new password. */
    synchronized void roles(String branch, String... names) {
        branch(branch).passwords = passwords(List.of(names));
    }

    /** Makes passwords this way from now on. */
    synchronized void passwords(Supplier<String> generator) {
        passwordGenerator = generator;
    }

    /** Lets each operation run for this long from now on; 0 means that it is over at once. */
    synchronized void operationsTake(Duration duration) {
        operationsTake = duration;
    }

    /** Lets each operation run until it, or its branch, was asked for this many times. */
    synchronized void operationsTakePolls(int polls) {
        operationsTakePolls = polls;
    }

    /** Lets each operation end with this status from now on; the error text, or null, is told with it. */
    synchronized void operationsEnd(String status, String error) {
        operationsEnd = new SandboxOperation.End(status, error);
    }

    /** Gives at most this many branches in a page, whatever is asked for. */
    synchronized void maximumPageSize(int size) {
        maximumPageSize = size;
    }

    /** Sends a next cursor with the last page too: it leads to an empty page that has the same cursor again. */
    synchronized void nextOnLastPage() {
        nextOnLastPage = true;
    }

    /** Refuses to make more branches than this. */
    synchronized void branchesLimit(int limit) {
        branchesLimit = limit;
    }

    /** Refuses to make more root branches than this; schema-only branches are root branches. */
    synchronized void rootBranchesLimit(int limit) {
        rootBranchesLimit = limit;
    }

    /** Refuses every suspend timeout that a request names, as the Free plan does. */
    synchronized void refuseSuspendTimeout() {
        suspendTimeoutAllowed = false;
    }

    /** Answers a change 423 while operations of an earlier one are still running. */
    synchronized void oneChangeAtATime() {
        oneChangeAtATime = true;
    }

    /** Enforces Neon's limits, 40 requests a second for each route and 700 a minute in all, with 429 and Retry-After. */
    synchronized void limitRate() {
        rateLimited = true;
    }

    /** Returns how many requests were answered 429 by {@link #limitRate}. */
    synchronized int rateLimitViolations() {
        return rateLimitViolations;
    }

    // What Neon answers.

    /** Answers one request; {@code path} is percent-encoded and begins after {@code /api/v2}. */
    synchronized SandboxHttp.Answer answer(SandboxHttp.Request request, String path) {
        try {
            return route(request, path);
        } catch (Refusal refusal) {
            String requestId = request.headers().getOrDefault("x-request-id", UUID.randomUUID().toString());
            SandboxHttp.Answer answer = SandboxHttp.Answer.json(refusal.status,
                    SandboxNeonJson.error(requestId, refusal.code, refusal.getMessage()).toString());
            return refusal.status == 429 ? new SandboxHttp.Answer(429, answer.body(), retryAfter(answer.headers())) : answer;
        }
    }

    private SandboxHttp.Answer route(SandboxHttp.Request request, String path) {
        if (!("Bearer " + apiKey).equals(request.headers().get("authorization"))) {
            throw new Refusal(401, "supplied credentials do not pass authentication");
        }
        String[] parts = path.substring(1).split("/");
        for (int i = 0; i < parts.length; i++) {
            // A plus in a path is a plus, but not to this decoder.
            parts[i] = URLDecoder.decode(parts[i].replace("+", "%2B"), StandardCharsets.UTF_8);
        }
        String project = parts.length > 1 ? parts[1] : "";
        String item = parts.length > 3 ? parts[3] : "";
        if (parts.length > 1) {
            parts[1] = "{project}";
        }
        if (parts.length > 3 && !"count".equals(item)) {
            parts[3] = "{id}";
        }
        String role = parts.length > 5 ? parts[5] : "";
        if (parts.length > 5) {
            parts[5] = "{role}";
        }
        String route = request.method() + " /" + String.join("/", parts);
        countRequest(route);
        if (!PROJECT_ID.equals(project)) {
            throw new Refusal(404, "project not found");
        }
        if (oneChangeAtATime && !"GET".equals(request.method()) && operations.values().stream().anyMatch(operation -> !operation.isOver())) {
            throw new Refusal(423, "project already has running conflicting operations, scheduling of new ones is prohibited");
        }
        return switch (route) {
            case "GET /projects/{project}" -> ok(SandboxNeonJson.wrap("project", json.project(branchesLimit, startedAt)));
            case "GET /projects/{project}/branches" -> ok(listBranches(request.query()));
            case "POST /projects/{project}/branches" -> created(createBranch(read(request.body())));
            case "GET /projects/{project}/branches/count" -> ok(mapper.createObjectNode().put("count", branches.size()));
            case "GET /projects/{project}/branches/{id}" -> ok(getBranch(item));
            case "PATCH /projects/{project}/branches/{id}" -> ok(updateBranch(existing(item), read(request.body())));
            case "DELETE /projects/{project}/branches/{id}" -> deleteBranch(item);
            case "POST /projects/{project}/branches/{id}/restore" -> ok(restoreBranch(existing(item), read(request.body())));
            case "GET /projects/{project}/branches/{id}/endpoints" -> ok(mapper.createObjectNode().set("endpoints", endpoints(existing(item))));
            case "GET /projects/{project}/branches/{id}/roles" -> ok(mapper.createObjectNode().set("roles", roles(existing(item))));
            case "GET /projects/{project}/branches/{id}/roles/{role}/reveal_password" -> ok(revealPassword(existing(item), role));
            case "GET /projects/{project}/branches/{id}/databases" -> ok(mapper.createObjectNode().set("databases", databases(existing(item))));
            case "POST /projects/{project}/endpoints" -> created(createEndpoint(read(request.body())));
            case "GET /projects/{project}/operations/{id}" -> ok(getOperation(item));
            case "GET /projects/{project}/connection_uri" -> ok(connectionUri(request.query()));
            default -> throw new Refusal(404, "this route is not part of the sandbox: " + route);
        };
    }

    private ObjectNode listBranches(Map<String, String> query) {
        String search = query.getOrDefault("search", "").toLowerCase(Locale.ROOT);
        String sortBy = oneOf(query.getOrDefault("sort_by", "updated_at"), "name", "created_at", "updated_at");
        String sortOrder = oneOf(query.getOrDefault("sort_order", "desc"), "asc", "desc");
        int limit = Math.min(maximumPageSize, limit(query.getOrDefault("limit", "10000")));

        Comparator<SandboxBranch> order = Comparator.comparing(branch -> position(branch, sortBy));
        if ("desc".equals(sortOrder)) {
            order = order.reversed();
        }
        List<SandboxBranch> found = new ArrayList<>(branches.values().stream()
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
        String next = more || nextOnLastPage && !page.isEmpty()
                ? Base64.getUrlEncoder().encodeToString(position(page.get(page.size() - 1), sortBy).getBytes(StandardCharsets.UTF_8))
                : nextOnLastPage ? cursor : null;

        ObjectNode answer = mapper.createObjectNode();
        answer.set("branches", SandboxNeonJson.array(page.stream().map(this::json).toList()));
        ObjectNode annotations = answer.putObject("annotations");
        page.stream().filter(branch -> !branch.annotation.isEmpty()).forEach(branch -> annotations.set(branch.id, json.annotation(branch)));
        answer.set("pagination", SandboxNeonJson.pagination(next, sortBy, sortOrder));
        return answer;
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

    private ObjectNode createBranch(JsonNode body) {
        JsonNode wanted = body.path("branch");
        String name = wanted.path("name").asText(null);
        if (name != null) {
            checkName(name);
        }
        String parentId = wanted.path("parent_id").asText("");
        SandboxBranch parent = parentId.isEmpty() ? defaultBranch() : existing(parentId);
        if (name != null && hasBranch(name)) {
            throw new Refusal(409, "BRANCH_ALREADY_EXISTS", "branch already exists; branch_name:\"" + name + "\"");
        }
        boolean schemaOnly = "schema-only".equals(wanted.path("init_source").asText());
        Instant expiresAt = expiration(wanted.path("expires_at"));
        checkParent(parent);
        checkLimits(schemaOnly);
        List<SandboxBranch.Compute> computes = new ArrayList<>();
        for (JsonNode endpoint : body.path("endpoints")) {
            computes.add(wantedCompute(endpoint));
        }
        Map<String, String> annotation = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> entry : body.path("annotation_value").properties()) {
            if (!entry.getValue().isTextual()) {
                throw new Refusal(400, "annotation_value: the value of " + entry.getKey() + " must be a string");
            }
            annotation.put(entry.getKey(), entry.getValue().asText());
        }
        if (annotation.size() > 50) {
            throw new Refusal(400, "annotation_value: at most 50 properties are allowed");
        }

        SandboxBranch branch = create(name, parent, schemaOnly, computes);
        branch.annotation = Collections.unmodifiableMap(annotation);
        branch.expiresAt = expiresAt;
        branch.isProtected = wanted.path("protected").asBoolean();
        List<ObjectNode> running = new ArrayList<>();
        running.add(start("create_branch", branch.id, null));
        computes.forEach(compute -> running.add(start("start_compute", branch.id, compute.id())));

        ObjectNode answer = SandboxNeonJson.wrap("branch", json(branch));
        answer.set("endpoints", endpoints(branch));
        answer.set("operations", SandboxNeonJson.array(running));
        answer.set("roles", roles(branch));
        answer.set("databases", databases(branch));
        if (!computes.isEmpty() && branch.passwords.size() == 1 && branch.databases.size() == 1) {
            String role = branch.passwords.keySet().iterator().next();
            String database = branch.databases.keySet().iterator().next();
            answer.putArray("connection_uris").add(SandboxNeonJson.connection(uri(branch, role, database, false), database, role,
                    branch.passwords.get(role), host(branch, false), host(branch, true)));
        }
        return answer;
    }

    private void checkParent(SandboxBranch parent) {
        if (parent.expiresAt != null) {
            throw new Refusal(422, "cannot create a branch from a parent that has an expiration");
        }
        if (!"ready".equals(state(parent)) && !"archived".equals(state(parent))) {
            throw new Refusal(422, "branch not ready yet");
        }
    }

    private void checkLimits(boolean root) {
        if (branches.size() >= branchesLimit) {
            throw new Refusal(422, "BRANCHES_LIMIT_EXCEEDED", "branches limit exceeded");
        }
        if (root && branches.values().stream().filter(branch -> branch.parentId == null).count() >= rootBranchesLimit) {
            throw new Refusal(422, "ROOT_BRANCHES_LIMIT_EXCEEDED", "root branches limit exceeded");
        }
    }

    private ObjectNode getBranch(String id) {
        SandboxBranch branch = existing(id);
        operations.values().stream().filter(operation -> operation.branchId.equals(id)).forEach(SandboxOperation::polled);
        ObjectNode answer = SandboxNeonJson.wrap("branch", json(branch));
        answer.set("annotation", json.annotation(branch));
        return answer;
    }

    private ObjectNode updateBranch(SandboxBranch branch, JsonNode body) {
        JsonNode change = body.path("branch");
        if (change.has("expires_at")) {
            Instant expiresAt = expiration(change.path("expires_at"));
            if (expiresAt != null && (branch.isDefault || branch.isProtected || hasChild(branch))) {
                throw new Refusal(422, "cannot set an expiration on a default, protected or parent branch");
            }
            branch.expiresAt = expiresAt;
        }
        if (change.has("name")) {
            checkName(change.path("name").asText());
            branch.name = change.path("name").asText();
        }
        if (change.has("protected")) {
            branch.isProtected = change.path("protected").asBoolean();
        }
        branch.updatedAt = SandboxBranch.now();
        return changed(branch, List.of());
    }

    private SandboxHttp.Answer deleteBranch(String id) {
        SandboxBranch branch = branches.get(id);
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
        if (hasChild(branch)) {
            throw new Refusal(422, "cannot delete branch that has children: " + branch.id);
        }
        drop(branch);
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
        if (branch.parentId == null && source != branch) {
            throw new Refusal(422, "cannot restore a root branch from another branch");
        }
        if (hasChild(branch)) {
            throw new Refusal(422, "cannot restore a branch that has children without preserve_under_name");
        }
        if (!"ready".equals(state(branch)) || !"ready".equals(state(source))) {
            throw new Refusal(422, "branch not ready yet");
        }
        if (postgres != null) {
            postgres.reset(branch, source);
        }
        branch.lastResetAt = SandboxBranch.now();
        branch.updatedAt = branch.lastResetAt;
        List<ObjectNode> running = new ArrayList<>();
        running.add(start("create_branch", branch.id, null));
        branch.computes.forEach(compute -> running.add(start("apply_config", branch.id, compute.id())));
        return changed(branch, running);
    }

    private ObjectNode createEndpoint(JsonNode body) {
        JsonNode wanted = body.path("endpoint");
        SandboxBranch branch = existing(wanted.path("branch_id").asText());
        SandboxBranch.Compute compute = wantedCompute(wanted);
        if ("read_write".equals(compute.type()) && readWrite(branch) != null) {
            throw new Refusal(409, "read-write endpoint already exists on the branch");
        }
        if (!"ready".equals(state(branch))) {
            throw new Refusal(422, "branch not ready yet");
        }
        List<SandboxBranch.Compute> computes = new ArrayList<>(branch.computes);
        computes.add(compute);
        branch.computes = List.copyOf(computes);
        ObjectNode operation = start("start_compute", branch.id, compute.id());
        ObjectNode answer = SandboxNeonJson.wrap("endpoint", json.endpoint(branch, compute, host(branch, false), isStarted(compute)));
        answer.set("operations", SandboxNeonJson.array(List.of(operation)));
        return answer;
    }

    private SandboxBranch.Compute wantedCompute(JsonNode endpoint) {
        String type = oneOf(endpoint.path("type").asText(), "read_write", "read_only");
        long suspendTimeout = endpoint.path("suspend_timeout_seconds").asLong(0);
        if (endpoint.has("suspend_timeout_seconds") && !suspendTimeoutAllowed) {
            throw new Refusal(422, "suspend interval changing is not allowed for your account");
        }
        if (suspendTimeout < -1 || suspendTimeout > 0 && suspendTimeout < 60 || suspendTimeout > 604_800) {
            throw new Refusal(400, "suspend_timeout_seconds must be -1, 0 or between 60 and 604800");
        }
        return compute(type, suspendTimeout);
    }

    private ObjectNode getOperation(String id) {
        SandboxOperation operation = operations.get(id);
        if (operation == null) {
            throw new Refusal(404, "operation not found");
        }
        operation.polled();
        return SandboxNeonJson.wrap("operation", json.operation(operation));
    }

    private ObjectNode revealPassword(SandboxBranch branch, String role) {
        if (!branch.passwords.containsKey(role)) {
            throw new Refusal(404, "role not found");
        }
        return mapper.createObjectNode().put("password", branch.passwords.get(role));
    }

    private ObjectNode connectionUri(Map<String, String> query) {
        String role = required(query, "role_name");
        String database = required(query, "database_name");
        // As the real one does, and that is why no client may leave the branch out: the default branch is production.
        SandboxBranch branch = query.containsKey("branch_id") ? existing(query.get("branch_id")) : defaultBranch();
        if (!branch.passwords.containsKey(role)) {
            throw new Refusal(404, "role not found");
        }
        if (!branch.databases.containsKey(database)) {
            throw new Refusal(404, "database not found");
        }
        if (readWrite(branch) == null) {
            throw new Refusal(404, "endpoint not found");
        }
        boolean pooled = Boolean.parseBoolean(query.getOrDefault("pooled", "false"));
        return mapper.createObjectNode().put("uri", uri(branch, role, database, pooled));
    }

    // What the answers are made of.

    private SandboxBranch create(String name, SandboxBranch parent, boolean schemaOnly, List<SandboxBranch.Compute> computes) {
        String id = id("br");
        SandboxBranch branch = new SandboxBranch(id, name == null ? id : name, schemaOnly ? null : parent.id);
        branch.initSource = schemaOnly ? "schema-only" : "parent-data";
        branch.passwords = passwords(parent.passwords.keySet());
        branch.databases = parent.databases;
        branch.computes = List.copyOf(computes);
        if (postgres != null) {
            postgres.create(branch, parent, schemaOnly);
        }
        branches.put(branch.id, branch);
        return branch;
    }

    private void drop(SandboxBranch branch) {
        branches.remove(branch.id);
        if (postgres != null) {
            postgres.drop(branch);
        }
    }

    private ObjectNode start(String action, String branchId, String endpointId) {
        SandboxOperation operation = new SandboxOperation(action, branchId, endpointId, operationsTake, operationsTakePolls, operationsEnd);
        operations.put(operation.id, operation);
        return json.operation(operation);
    }

    private ObjectNode changed(SandboxBranch branch, List<ObjectNode> running) {
        ObjectNode answer = SandboxNeonJson.wrap("branch", json(branch));
        answer.set("operations", SandboxNeonJson.array(running));
        return answer;
    }

    private ObjectNode json(SandboxBranch branch) {
        return json.branch(branch, state(branch));
    }

    private String state(SandboxBranch branch) {
        if (branch.state != null) {
            return branch.state;
        }
        boolean busy = operations.values().stream().anyMatch(operation ->
                operation.branchId.equals(branch.id) && "create_branch".equals(operation.action) && !operation.isOver());
        return !busy ? "ready" : branch.lastResetAt == null ? "init" : "resetting";
    }

    private boolean isStarted(SandboxBranch.Compute compute) {
        return operations.values().stream().noneMatch(operation -> compute.id().equals(operation.endpointId) && !operation.isOver());
    }

    private JsonNode endpoints(SandboxBranch branch) {
        return SandboxNeonJson.array(branch.computes.stream()
                .map(compute -> json.endpoint(branch, compute, host(branch, false), isStarted(compute))).toList());
    }

    private JsonNode roles(SandboxBranch branch) {
        return SandboxNeonJson.array(branch.passwords.keySet().stream().map(role -> json.role(branch, role)).toList());
    }

    private JsonNode databases(SandboxBranch branch) {
        return SandboxNeonJson.array(branch.databases.entrySet().stream()
                .map(database -> json.database(branch, database.getKey(), database.getValue())).toList());
    }

    private static SandboxBranch.Compute readWrite(SandboxBranch branch) {
        return branch.computes.stream().filter(compute -> "read_write".equals(compute.type())).findFirst().orElse(null);
    }

    private String host(SandboxBranch branch, boolean pooled) {
        if (postgres != null) {
            return postgres.host(pooled);
        }
        SandboxBranch.Compute compute = readWrite(branch);
        // The form of Neon's hosts, cell included, under a domain that is certain not to exist.
        return compute.id() + (pooled ? "-pooler" : "") + ".c-3.eu-central-1.aws.neon.invalid";
    }

    private String uri(SandboxBranch branch, String role, String database, boolean pooled) {
        String password = branch.passwords.get(role);
        String uri = postgres != null
                ? postgres.uri(branch, role, database, pooled)
                : "postgresql://" + SandboxHttp.encode(role) + ":" + SandboxHttp.encode(password) + "@" + host(branch, pooled) + "/"
                        + SandboxHttp.encode(database) + "?sslmode=require&channel_binding=require";
        secrets.accept(uri);
        return uri;
    }

    private Map<String, String> passwords(Iterable<String> roles) {
        Map<String, String> made = new LinkedHashMap<>();
        for (String role : roles) {
            String password = passwordGenerator.get();
            secrets.accept(password);
            secrets.accept(SandboxHttp.encode(password));
            made.put(role, password);
        }
        return Collections.unmodifiableMap(made);
    }

    /** Makes a password as Neon's are, and with characters that a connection string must encode and a shell would act upon. */
    private String randomPassword() {
        byte[] bytes = new byte[9];
        new SecureRandom().nextBytes(bytes);
        return "npg_" + Base64.getUrlEncoder().encodeToString(bytes) + "@:/?#%&+ $'\"`";
    }

    private SandboxBranch.Compute compute(String type, long suspendTimeout) {
        return new SandboxBranch.Compute(id("ep"), type, suspendTimeout, SandboxBranch.now());
    }

    private String id(String prefix) {
        String tail = Long.toString(random.nextLong(2_821_109_907_456L), 36);
        return prefix + "-" + ADJECTIVES.get(random.nextInt(ADJECTIVES.size())) + "-" + NOUNS.get(random.nextInt(NOUNS.size()))
                + "-" + "0".repeat(8 - tail.length()) + tail;
    }

    private SandboxBranch defaultBranch() {
        return branches().stream().filter(branch -> branch.isDefault).findFirst().orElseThrow();
    }

    private SandboxBranch existing(String id) {
        SandboxBranch branch = branches.get(id);
        if (branch == null) {
            throw new Refusal(404, "branch not found");
        }
        return branch;
    }

    private boolean hasChild(SandboxBranch branch) {
        return branches.values().stream().anyMatch(other -> branch.id.equals(other.parentId));
    }

    private static void checkName(String name) {
        if (name.isEmpty() || name.codePointCount(0, name.length()) > 256) {
            throw new Refusal(400, "branch name must have 1 to 256 characters");
        }
    }

    /** Reads a time of expiration; null where the field is missing or null. */
    private static Instant expiration(JsonNode node) {
        if (node.isMissingNode() || node.isNull()) {
            return null;
        }
        try {
            Instant expiresAt = Instant.parse(node.asText());
            if (expiresAt.isBefore(Instant.now()) || expiresAt.isAfter(Instant.now().plus(LONGEST_EXPIRATION))) {
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

    private JsonNode read(String body) {
        try {
            return body.isEmpty() ? mapper.createObjectNode() : mapper.readTree(body);
        } catch (JsonProcessingException e) {
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
        if (rateLimited && (isTooMany(route, Duration.ofSeconds(1), REQUESTS_PER_SECOND_AND_ROUTE)
                | isTooMany("", Duration.ofMinutes(1), REQUESTS_PER_MINUTE))) {
            rateLimitViolations++;
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

    private static Map<String, String> retryAfter(Map<String, String> headers) {
        Map<String, String> more = new LinkedHashMap<>(headers);
        more.put("Retry-After", "1");
        return more;
    }
}
