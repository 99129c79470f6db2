import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The requests of Neon's API v2 that neon-ci makes, each a method named after Neon's operation, for one project.
 *
 * <p>Facts are from Neon's OpenAPI document. Whatever fails is a {@link Failure}; what Neon itself refuses, or does not answer, is a
 * {@link NeonHttp.NeonException}.
 */
final class NeonApi {

    /** Neon's ids of projects and branches. */
    static final Pattern ID = Pattern.compile("[a-z0-9-]{1,60}");

    /**
     * A Neon branch.
     *
     * @param parentId null for a root branch
     * @param state init, resetting, ready, archived, or one that Neon has yet to invent
     * @param expiresAt RFC 3339, or null for a branch that stays
     */
    record Branch(String id, String name, String parentId, String state, boolean isDefault, boolean isProtected, String expiresAt) {
    }

    /** Work that Neon has begun and not necessarily finished. */
    record Operation(String id, String action, String status) {
    }

    /** What a new branch came with; its operations may still be running. */
    record NewBranch(Branch branch, List<Operation> operations, boolean hasCompute, List<String> roles, List<String> databases) {
    }

    /**
     * What to make a branch of.
     *
     * @param parentId null for the project's default branch
     * @param expiresAt null for a branch that stays
     * @param suspendTimeoutSeconds 0 for Neon's default, -1 for never
     * @param annotations where the branch came from, at most 50 entries
     */
    record BranchRequest(String name, String parentId, boolean schemaOnly, Instant expiresAt, int suspendTimeoutSeconds,
            Map<String, String> annotations) {
    }

    /** Who connects, and to which of a branch's databases. */
    record Login(String role, String database) {
    }

    private static final Pattern CONNECTION_STRING = Pattern.compile("postgres(ql)?://.+@[^@/]+/.+", Pattern.DOTALL);

    private static final int BRANCHES_A_PAGE = 1000;

    /** Each new branch takes a moment, which is not worth a line. */
    private static final Duration WORTH_A_LINE = Duration.ofSeconds(3);

    private final NeonHttp http;
    private final String project;

    NeonApi(NeonHttp http, String project) {
        this.http = http;
        this.project = project;
    }

    /**
     * Lists every branch of the project, all pages, in a stable order.
     *
     * @throws NeonHttp.NeonException if a page cannot be read
     */
    List<Branch> listProjectBranches() {
        return listProjectBranches("");
    }

    /** Returns the branch of exactly this name. */
    Optional<Branch> findBranch(String name) {
        return listProjectBranches(name).stream().filter(branch -> branch.name().equals(name)).findFirst();
    }

    /** Returns the branch of exactly this id or, since a name can look like an id, else of exactly this name. */
    Optional<Branch> findBranchByIdOrName(String idOrName) {
        List<Branch> found = listProjectBranches(idOrName);
        return found.stream().filter(branch -> branch.id().equals(idOrName)).findFirst()
                .or(() -> found.stream().filter(branch -> branch.name().equals(idOrName)).findFirst());
    }

    private List<Branch> listProjectBranches(String search) {
        Map<String, Branch> branches = new LinkedHashMap<>();
        Set<String> cursors = new HashSet<>();
        String cursor = "";
        String what = "list the branches of Neon project " + project;
        JsonNode page;
        do {
            // Neon's default order, by time of update, changes while one pages through it.
            page = http.send("GET", projectPath("/branches"), "?sort_by=created_at&sort_order=asc&limit=" + BRANCHES_A_PAGE
                    + query("search", search) + query("cursor", cursor), null, true, what);
            if (!page.path("branches").isArray()) {
                throw new Failure("Could not " + what + ": Neon's answer holds no list; run again later.");
            }
            for (JsonNode branch : page.path("branches")) {
                Branch read = branch(branch);
                branches.put(read.id(), read);
            }
            cursor = page.path("pagination").path("next").asText("");
        } while (!cursor.isEmpty() && !page.path("branches").isEmpty() && cursors.add(cursor));
        return List.copyOf(branches.values());
    }

    /** Reads a branch by its id. */
    Branch getProjectBranch(String branchId) {
        return branch(http.send("GET", branchPath(branchId, ""), "", null, true, "read Neon branch " + branchId).path("branch"));
    }

    /**
     * Makes a branch with a read-write compute.
     *
     * @return what was made; nothing when the project has a branch of that name by now, be it that another build was faster or that
     *     Neon's answer was lost
     * @throws NeonHttp.NeonException if Neon refuses
     */
    Optional<NewBranch> createProjectBranch(BranchRequest request) {
        ObjectNode body = NeonHttp.JSON.createObjectNode();
        ObjectNode branch = body.putObject("branch").put("name", request.name());
        if (request.parentId() != null) {
            branch.put("parent_id", request.parentId());
        }
        if (request.schemaOnly()) {
            branch.put("init_source", "schema-only");
        }
        if (request.expiresAt() != null) {
            branch.put("expires_at", request.expiresAt().toString());
        }
        body.putArray("endpoints").add(readWriteCompute(request.suspendTimeoutSeconds()));
        ObjectNode annotations = body.putObject("annotation_value");
        request.annotations().forEach(annotations::put);
        return http.create(projectPath("/branches"), body, "create Neon branch '" + request.name() + "' in project " + project,
                () -> findBranch(request.name()).isPresent())
                .map(answer -> new NewBranch(branch(answer.path("branch")), operations(answer), hasCompute(answer),
                        names(answer.path("roles")), names(answer.path("databases"))));
    }

    /**
     * Sets when the branch expires.
     *
     * @throws NeonHttp.NeonException if Neon refuses, as it does for default and protected branches and for those with children
     */
    void updateProjectBranch(String branchId, Instant expiresAt) {
        ObjectNode body = NeonHttp.JSON.createObjectNode();
        body.putObject("branch").put("expires_at", expiresAt.toString());
        http.send("PATCH", branchPath(branchId, ""), "", body, true, "set when Neon branch " + branchId + " expires");
    }

    /**
     * Begins to reset the branch to the current state of its parent; its host and passwords stay. Repeating that changes nothing more.
     *
     * @return the operations to wait for
     * @throws NeonHttp.NeonException if Neon refuses, as it does for protected and root branches and for those with children
     */
    List<Operation> restoreProjectBranch(String branchId, String parentId) {
        ObjectNode body = NeonHttp.JSON.createObjectNode().put("source_branch_id", parentId);
        return operations(http.send("POST", branchPath(branchId, "/restore"), "", body, true, "reset Neon branch " + branchId));
    }

    /** Deletes a branch for good. One that is gone already is no failure. */
    void deleteProjectBranch(String branchId) {
        try {
            http.send("DELETE", branchPath(branchId, ""), "", null, true, "delete Neon branch " + branchId);
        } catch (NeonHttp.NeonException e) {
            if (e.status != 404) {
                throw e;
            }
        }
    }

    /** Tells whether the branch has a read-write compute, without which nobody can connect to it. */
    boolean hasReadWriteCompute(String branchId) {
        return hasCompute(http.send("GET", branchPath(branchId, "/endpoints"), "", null, true,
                "list the computes of Neon branch " + branchId));
    }

    /**
     * Gives the branch a read-write compute.
     *
     * @param suspendTimeoutSeconds 0 for Neon's default, -1 for never
     * @return the operations to wait for
     * @throws NeonHttp.NeonException if Neon refuses, and not because there is one by now
     */
    List<Operation> createProjectEndpoint(String branchId, int suspendTimeoutSeconds) {
        ObjectNode body = NeonHttp.JSON.createObjectNode();
        body.set("endpoint", readWriteCompute(suspendTimeoutSeconds).put("branch_id", branchId));
        return http.create(projectPath("/endpoints"), body, "give Neon branch " + branchId + " a compute",
                () -> hasReadWriteCompute(branchId)).map(NeonApi::operations).orElse(List.of());
    }

    /** Lists the names of the branch's roles. */
    List<String> listProjectBranchRoles(String branchId) {
        return names(http.send("GET", branchPath(branchId, "/roles"), "", null, true, "list the roles of Neon branch " + branchId)
                .path("roles"));
    }

    /** Lists the names of the branch's databases. */
    List<String> listProjectBranchDatabases(String branchId) {
        return names(http.send("GET", branchPath(branchId, "/databases"), "", null, true, "list the databases of Neon branch " + branchId)
                .path("databases"));
    }

    /**
     * Asks for the connection string of one branch. Always by the branch's id: without one Neon answers for the project's default
     * branch, which is production.
     *
     * @param pooled whether to go through Neon's connection pooler; migrations want the direct connection
     * @return a URI that holds no character special to shells and env files: those are percent-encoded, which means the same
     * @throws NeonHttp.NeonException if there is no such role or database, or no compute
     */
    Secret getConnectionURI(String branchId, Login login, boolean pooled) {
        String what = "get the connection string of Neon branch " + branchId;
        JsonNode answer = http.send("GET", projectPath("/connection_uri"), "?branch_id=" + requireId(branchId, what)
                + query("role_name", login.role()) + query("database_name", login.database()) + "&pooled=" + pooled, null, true, what);
        String uri = answer.path("uri").asText("");
        if (!CONNECTION_STRING.matcher(uri).matches()) {
            throw new Failure("Could not " + what + ": Neon's answer holds none; run again later.");
        }
        return new Secret(percentEncode(uri));
    }

    /**
     * Waits until the operations have finished and the branch can be used, and says so on the way.
     *
     * @throws Failure if an operation fails, or it takes longer than the deadline
     */
    void awaitReady(Branch branch, List<Operation> operations) {
        Deque<Operation> left = new ArrayDeque<>(operations);
        String state = branch.state();
        Instant worthALine = Instant.now().plus(WORTH_A_LINE);
        for (int poll = 0; ; poll++) {
            while (!left.isEmpty() && isFinished(left.peekFirst(), branch)) {
                left.removeFirst();
            }
            // Other states, such as archived, take connections, and Neon may invent more.
            boolean isUsable = !state.equals("init") && !state.equals("resetting");
            if (left.isEmpty() && isUsable) {
                return;
            }
            Duration pause = Duration.ofMillis(Math.min(100L << Math.min(poll, 4), 1000));
            String waitsFor = http.clean(left.isEmpty() ? "it is " + state
                    : left.peekFirst().action() + " is " + left.peekFirst().status());
            if (!http.hasTimeFor(pause)) {
                throw new Failure("Neon branch '" + branch.name() + "' is not ready yet (" + waitsFor
                        + "); run again, which goes on with the same branch, or give it longer with --wait.");
            }
            if (Instant.now().isAfter(worthALine)) {
                http.sayWaiting("Waiting for Neon branch '" + branch.name() + "' to be ready: " + waitsFor + ".");
            }
            NeonHttp.sleep(pause);
            if (left.isEmpty()) {
                state = getProjectBranch(branch.id()).state();
            } else {
                left.addFirst(getProjectOperation(left.removeFirst().id()));
            }
        }
    }

    private boolean isFinished(Operation operation, Branch branch) {
        return switch (operation.status()) {
            case "finished", "skipped" -> true;
            case "failed", "error", "cancelled" -> throw new Failure("Neon could not make branch '" + branch.name() + "' ready: "
                    + http.clean(operation.action() + " ended as " + operation.status() + " (operation " + operation.id())
                    + "); run again, or look at the project's operations in the Neon Console.");
            default -> false;
        };
    }

    private Operation getProjectOperation(String operationId) {
        return operation(http.send("GET", projectPath("/operations/" + requireId(operationId, "read a Neon operation")), "", null, true,
                "read Neon operation " + operationId).path("operation"));
    }

    private String projectPath(String rest) {
        return "/projects/" + project + rest;
    }

    private String branchPath(String branchId, String rest) {
        return projectPath("/branches/" + branchId + rest);
    }

    private static String query(String name, String value) {
        return value.isEmpty() ? "" : "&" + name + "=" + URLEncoder.encode(value, StandardCharsets.UTF_8);
    }

    /** An empty id would make a request for one branch into one for the default branch, or for all of them. */
    private static String requireId(String id, String what) {
        if (!ID.matcher(id).matches()) {
            throw new Failure("Could not " + what + ": Neon's answer holds no id of it; run again later.");
        }
        return id;
    }

    private static ObjectNode readWriteCompute(int suspendTimeoutSeconds) {
        ObjectNode compute = NeonHttp.JSON.createObjectNode().put("type", "read_write");
        // Some plans refuse any value, so Neon's default is asked for by leaving the field out.
        return suspendTimeoutSeconds == 0 ? compute : compute.put("suspend_timeout_seconds", suspendTimeoutSeconds);
    }

    /** Percent-encodes what is not plain in a URI or is special in a shell or an env file; what is encoded already stays. */
    private static String percentEncode(String uri) {
        StringBuilder encoded = new StringBuilder();
        for (byte b : uri.getBytes(StandardCharsets.UTF_8)) {
            boolean isPlain = b > ' ' && b < 0x7f && "\"'$`\\<>^{|}".indexOf(b) < 0;
            encoded.append(isPlain ? String.valueOf((char) b) : String.format("%%%02X", b));
        }
        return encoded.toString();
    }

    private static Branch branch(JsonNode branch) {
        return new Branch(requireId(branch.path("id").asText(""), "read a Neon branch"), branch.path("name").asText(""),
                branch.path("parent_id").asText(null), branch.path("current_state").asText("ready"),
                branch.path("default").asBoolean(false), branch.path("protected").asBoolean(false),
                branch.path("expires_at").asText(null));
    }

    private static Operation operation(JsonNode operation) {
        return new Operation(operation.path("id").asText(""), operation.path("action").asText("an operation"),
                operation.path("status").asText(""));
    }

    private static List<Operation> operations(JsonNode answer) {
        return elements(answer.path("operations")).map(NeonApi::operation).toList();
    }

    private static boolean hasCompute(JsonNode answer) {
        return elements(answer.path("endpoints")).anyMatch(endpoint -> endpoint.path("type").asText("").equals("read_write"));
    }

    private static List<String> names(JsonNode list) {
        return elements(list).map(element -> element.path("name").asText("")).toList();
    }

    private static Stream<JsonNode> elements(JsonNode list) {
        return StreamSupport.stream(list.spliterator(), false);
    }
}
