import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The requests of Neon's API v2 that neon-ci makes, each a method named after Neon's operation, for one project.
 *
 * <p>Facts are from Neon's OpenAPI document. Whatever fails is a {@link Failure}. Nothing of an answer is shown but its status, code,
 * request id and message, and that with every secret taken out.
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
     * @param schemaOnly whether to leave the parent's data out
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

    /** What to do about a refusal: the first whose pattern is found in its status, code and message. KEY stands for where the key is from. */
    private static final String ADVICE = """
            ^401 -> check the API key in KEY
            ^30[12378] -> check --api-host and any proxy: no redirect is followed with an API key
            ^423 -> Neon is at work on this project; run again later, or give it longer with --wait
            ^(429|5) -> run again later
            ^422.*not ready -> run again later, or give it longer with --wait
            limit.?exceeded -> delete branches, with cleanup-branches for one, or raise the plan's limit
            vercel -> Vercel manages this project: change this there, or use a project of Neon's own
            ^40[03].*(\\bip\\b|allow-?list) -> let this machine's address into the project's IP Allow list
            ^4(02|12|22).*suspend -> leave out --suspend-timeout, or choose a Neon plan that allows it
            ^4(02|12)|^4.*(\\bplan\\b|subscription|for your account) -> choose a Neon plan that allows this, or leave out the option that asks for it
            ^403 -> use an API key that may do this, in KEY
            ^404.*\\brole -> check --role-name
            ^404.*\\bdatabase -> check --database-name
            ^404.*\\b(branch|endpoint|compute) -> it was deleted meanwhile: run again
            ^404 -> check --neon-project-id, and that the API key in KEY is for this project
            ^422.*expir -> a branch that expires can have no children: name another with --parent-branch
             -> change what was asked for, or ask Neon's support about the request
            """;

    /** When a wait is said for the first time, and how often then; each new branch takes a moment, which is not worth a line. */
    private static final Duration FIRST_LINE = Duration.ofSeconds(1);
    private static final Duration BETWEEN_LINES = Duration.ofSeconds(3);

    private final Http http;
    private final URI host;
    private final Secret key;
    private final String keySource;
    private final String project;
    private final Consumer<String> say;

    /**
     * Opens nothing yet.
     *
     * @param host the API's address without a slash at its end
     * @param keySource where the key came from, in words, for the advice when Neon refuses it
     * @param deadline when to give up waiting and trying again
     * @param say takes a line that says what is being waited for
     * @param verbose takes one line per request
     * @throws Failure if the key cannot be one
     */
    NeonApi(String project, URI host, Secret key, String keySource, Deadline deadline, Consumer<String> say, Consumer<String> verbose) {
        // A header cannot hold other characters, and Java's complaint would show the key.
        if (!key.value().matches("[\\x21-\\x7e]+")) {
            throw new Failure("The value of " + keySource
                    + " is no Neon API key: it is empty, or has a space or a line break in it; store the key alone.");
        }
        this.http = new Http(host, key, deadline, say, verbose);
        this.host = host;
        this.key = key;
        this.keySource = keySource;
        this.project = project;
        this.say = say;
    }

    /**
     * Lists every branch of the project, all pages, oldest first.
     *
     * @throws Failure if a page cannot be read
     */
    List<Branch> listProjectBranches() {
        Map<String, Branch> branches = new LinkedHashMap<>();
        Set<String> cursors = new HashSet<>();
        String cursor = "";
        String what = "list the branches of Neon project " + project;
        JsonNode page;
        do {
            // Neon's default order, by time of update, changes while one pages through it.
            page = get("/branches", "?sort_by=created_at&sort_order=asc&limit=" + BRANCHES_A_PAGE
                    + (cursor.isEmpty() ? "" : "&cursor=" + encode(cursor)), what);
            if (!page.path("branches").isArray()) {
                throw new Failure("Could not " + what + ": Neon's answer holds no list; run again later.");
            }
            elements(page.path("branches")).map(NeonApi::branch).forEach(branch -> branches.put(branch.id(), branch));
            cursor = page.path("pagination").path("next").asText("");
        } while (!cursor.isEmpty() && !page.path("branches").isEmpty() && cursors.add(cursor));
        return List.copyOf(branches.values());
    }

    /** Returns the branch of exactly this name. */
    Optional<Branch> findBranch(String name) {
        return listProjectBranches().stream().filter(branch -> branch.name().equals(name)).findFirst();
    }

    /** Reads a branch by its id. */
    Branch getProjectBranch(String branchId) {
        return branch(get("/branches/" + branchId, "", "read Neon branch " + branchId).path("branch"));
    }

    /**
     * Makes a branch with a read-write compute.
     *
     * @return what was made; nothing when the project has a branch of that name by now, be it that another build was faster or that
     *     Neon's answer was lost
     * @throws Failure if Neon refuses
     */
    Optional<NewBranch> createProjectBranch(BranchRequest request) {
        ObjectNode body = Http.JSON.createObjectNode();
        ObjectNode branch = body.putObject("branch").put("name", request.name()).put("parent_id", request.parentId());
        if (request.schemaOnly()) {
            branch.put("init_source", "schema-only");
        }
        if (request.expiresAt() != null) {
            branch.put("expires_at", request.expiresAt().toString());
        }
        body.putArray("endpoints").add(readWriteCompute(request.suspendTimeoutSeconds()));
        ObjectNode annotations = body.putObject("annotation_value");
        request.annotations().forEach(annotations::put);
        return create("/branches", body, "create Neon branch '" + request.name() + "' in project " + project,
                () -> findBranch(request.name()).isPresent())
                .map(answer -> new NewBranch(branch(answer.path("branch")), operations(answer), hasCompute(answer),
                        names(answer.path("roles")), names(answer.path("databases"))));
    }

    /**
     * Sets when the branch expires.
     *
     * @throws Failure if Neon refuses, as it does for default and protected branches and for those with children
     */
    void updateProjectBranch(String branchId, Instant expiresAt) {
        ObjectNode body = Http.JSON.createObjectNode();
        body.putObject("branch").put("expires_at", expiresAt.toString());
        require(http.send("PATCH", path("/branches/" + branchId), "", body, null), "set when Neon branch " + branchId + " expires");
    }

    /**
     * Begins to reset the branch to the current state of its parent; its host and passwords stay. Repeating that changes nothing more.
     *
     * @return the operations to wait for
     * @throws Failure if Neon refuses, as it does for protected and root branches and for those with children
     */
    List<Operation> restoreProjectBranch(String branchId, String parentId) {
        ObjectNode body = Http.JSON.createObjectNode().put("source_branch_id", parentId);
        return operations(require(http.send("POST", path("/branches/" + branchId + "/restore"), "", body, null), "reset Neon branch " + branchId));
    }

    /** Deletes a branch for good. One that is gone already is no failure. */
    void deleteProjectBranch(Branch branch) {
        Http.Answer answer = http.send("DELETE", path("/branches/" + branch.id()), "", null, null);
        if (answer.status() != 404) {
            require(answer, "delete Neon branch '" + branch.name() + "' (" + branch.id() + ")");
        }
    }

    /** Tells whether the branch has a read-write compute, without which nobody can connect to it. */
    boolean hasReadWriteCompute(String branchId) {
        return hasCompute(get("/branches/" + branchId + "/endpoints", "", "list the computes of Neon branch " + branchId));
    }

    /**
     * Gives the branch a read-write compute.
     *
     * @param suspendTimeoutSeconds 0 for Neon's default, -1 for never
     * @return the operations to wait for
     * @throws Failure if Neon refuses, and not because there is one by now
     */
    List<Operation> createProjectEndpoint(String branchId, int suspendTimeoutSeconds) {
        ObjectNode body = Http.JSON.createObjectNode();
        body.set("endpoint", readWriteCompute(suspendTimeoutSeconds).put("branch_id", branchId));
        return create("/endpoints", body, "give Neon branch " + branchId + " a compute", () -> hasReadWriteCompute(branchId))
                .map(NeonApi::operations).orElse(List.of());
    }

    /** Lists the names of the branch's roles. */
    List<String> listProjectBranchRoles(String branchId) {
        return names(get("/branches/" + branchId + "/roles", "", "list the roles of Neon branch " + branchId).path("roles"));
    }

    /** Lists the names of the branch's databases. */
    List<String> listProjectBranchDatabases(String branchId) {
        return names(get("/branches/" + branchId + "/databases", "", "list the databases of Neon branch " + branchId).path("databases"));
    }

    /**
     * Asks for the connection string of one branch. Always by the branch's id: without one Neon answers for the project's default
     * branch, which is production.
     *
     * @param pooled whether to go through Neon's connection pooler; migrations want the direct connection
     * @return a URI that holds no character special to shells and env files: those are percent-encoded, which means the same
     * @throws Failure if there is no such role or database, or no compute
     */
    Secret getConnectionURI(String branchId, Login login, boolean pooled) {
        String what = "get the connection string of Neon branch " + branchId;
        String uri = get("/connection_uri", "?branch_id=" + requireId(branchId, what) + "&role_name=" + encode(login.role())
                + "&database_name=" + encode(login.database()) + "&pooled=" + pooled, what).path("uri").asText("");
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
        long start = System.nanoTime();
        boolean isKnown = true;
        for (Operation operation : operations) {
            Operation latest = operation;
            while (!isFinished(latest, branch)) {
                // Operations run beside each other: when one has finished, the next may have too, and is looked at without a pause.
                if (isKnown) {
                    pauseBeforeNextLook(branch, latest.action() + " is " + latest.status(), start);
                }
                latest = getProjectOperation(operation.id());
                isKnown = true;
            }
            isKnown = false;
        }
        String state = branch.state();
        // Other states, such as archived, take connections, and Neon may invent more.
        while (state.equals("init") || state.equals("resetting")) {
            if (isKnown) {
                pauseBeforeNextLook(branch, "it is " + state, start);
            }
            state = getProjectBranch(branch.id()).state();
            isKnown = true;
        }
    }

    private void pauseBeforeNextLook(Branch branch, String waitsFor, long startNanos) {
        Duration waited = Duration.ofNanos(System.nanoTime() - startNanos);
        Duration pause = Duration.ofMillis(Math.min(100 + waited.toMillis() / 10, 1000));
        Duration sinceLine = waited.plus(BETWEEN_LINES).minus(FIRST_LINE);
        boolean isWorthALine = sinceLine.dividedBy(BETWEEN_LINES) < sinceLine.plus(pause).dividedBy(BETWEEN_LINES);
        if (isWorthALine) {
            say.accept("Waiting for Neon branch '" + branch.name() + "' to be ready: " + clean(waitsFor) + ".");
        }
        if (!http.pause(pause)) {
            throw new Failure("Neon branch '" + branch.name() + "' is not ready yet (" + clean(waitsFor)
                    + "); run again, which goes on with the same branch, or give it longer with --wait.");
        }
    }

    private boolean isFinished(Operation operation, Branch branch) {
        return switch (operation.status()) {
            case "finished", "skipped" -> true;
            case "failed", "error", "cancelled" -> throw new Failure("Neon could not make branch '" + branch.name() + "' ready: "
                    + clean(operation.action() + " ended as " + operation.status() + " (operation " + operation.id())
                    + "); run again, or look at the project's operations in the Neon Console.");
            default -> false;
        };
    }

    private Operation getProjectOperation(String operationId) {
        Operation operation = operation(get("/operations/" + requireId(operationId, "read a Neon operation"), "",
                "read Neon operation " + operationId).path("operation"));
        requireId(operation.id(), "read Neon operation " + operationId);
        return operation;
    }

    private JsonNode get(String path, String query, String what) {
        return require(http.send("GET", path(path), query, null, null), what);
    }

    /** Sends a request that makes something: when it is refused, or its answer is lost, looks whether the thing is there by now. */
    private Optional<JsonNode> create(String path, JsonNode body, String what, BooleanSupplier isThere) {
        Http.Answer answer = http.send("POST", path(path), "", body, isThere);
        boolean isTaken = answer != null && (answer.status() == 409 || answer.status() == 422 && !answer.isNotReady());
        return answer == null || isTaken && isThere.getAsBoolean() ? Optional.empty() : Optional.of(require(answer, what));
    }

    /**
     * Returns what Neon answered.
     *
     * @param what what the request was to do, in words that follow "could not"
     * @throws Failure if there was no answer, or it is a refusal
     */
    private JsonNode require(Http.Answer answer, String what) {
        if (answer.isSuccess()) {
            return answer.body();
        }
        if (answer.status() == Http.NONE) {
            throw new Failure("Could not " + what + switch (answer.reason()) {
                case Http.NO_TIME_LEFT -> " within --wait; run again, which goes on where this run stopped, or give it longer with --wait.";
                case Http.ANOTHERS -> ": " + host + " answered with something that is not Neon's (request " + answer.requestId()
                        + "); check --api-host and any proxy, or run again later.";
                default -> ": no answer from " + host + " (" + answer.reason() + "); " + Http.advice(answer.reason()) + ".";
            });
        }
        String code = clean(answer.body().path("code").asText(""));
        String message = clean(answer.body().path("message").asText(""));
        throw new Failure("Could not " + what + ": Neon answered " + answer.status() + (code.isEmpty() ? "" : " " + code)
                + (message.isEmpty() ? "" : ", " + message) + " (request " + clean(answer.requestId()) + "); " + advice(answer, code) + ".");
    }

    private String advice(Http.Answer answer, String code) {
        String refusal = answer.status() + " " + code + " " + answer.body().path("message").asText("");
        return ADVICE.lines().map(line -> line.split(" -> ", 2)).filter(row -> Pattern.compile("(?is)" + row[0]).matcher(refusal).find())
                .map(row -> row[1].replace("KEY", keySource)).findFirst().orElseThrow();
    }

    /** Keeps what Neon says to one line of moderate length without anything that is, or looks like, a secret. */
    private String clean(String text) {
        return Secret.clean(text.replace(key.value(), "***").replace(encode(key.value()), "***"));
    }

    private String path(String rest) {
        return "/projects/" + project + rest;
    }

    private static String encode(String value) {
        return URLEncoder.encode(value, StandardCharsets.UTF_8);
    }

    /** An empty id would make a request for one branch into one for the default branch, or for all of them. */
    private static String requireId(String id, String what) {
        if (!ID.matcher(id).matches()) {
            throw new Failure("Could not " + what + ": Neon's answer holds no id of it; run again later.");
        }
        return id;
    }

    private static ObjectNode readWriteCompute(int suspendTimeoutSeconds) {
        ObjectNode compute = Http.JSON.createObjectNode().put("type", "read_write");
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
