import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.format.DateTimeParseException;
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
     * @param isSchemaOnly whether it was made without its parent's data
     * @param isRestorable whether Neon would reset it, which it does with no masked branch
     */
    record Branch(String id, String name, String parentId, String state, boolean isDefault, boolean isProtected, String expiresAt,
            boolean isSchemaOnly, boolean isRestorable) {

        /** Returns what a reader knows the branch by: its name and id. */
        String label() {
            return "'" + name + "' (" + id + ")";
        }
    }

    /**
     * How far the masking of a branch has come. Until it is anonymized the branch may hold its parent's rows as they are.
     *
     * @param state created, initialized, anonymizing, anonymized, initialization_error, error, or one that Neon has yet to invent
     * @param message what Neon says of it, which can be shown
     */
    record Masking(String state, String message) {

        boolean isDone() {
            return state.equals("anonymized");
        }

        /** Tells whether it does not go on before somebody begins it, as one may from here. */
        boolean hasStopped() {
            return state.equals("initialized") || state.equals("error");
        }
    }

    /**
     * A branch's read-write compute.
     *
     * @param host where it is reached directly
     * @param suspendTimeoutSeconds 0 for Neon's default, -1 for never
     */
    record Compute(String id, String host, long suspendTimeoutSeconds) {
    }

    /** Work that Neon has begun and not necessarily finished. */
    record Operation(String id, String action, String status) {
    }

    /** A change that was not made for now, as far as is known. Whether it is still wanted may have changed before another try. */
    static final class NotNow extends Failure {

        final transient Http.Answer answer;

        private NotNow(String sentence, Http.Answer answer) {
            super(sentence);
            this.answer = answer;
        }
    }

    /** What a new branch came with; its operations may still be running. */
    record NewBranch(Branch branch, List<Operation> operations, Optional<Compute> compute, List<String> roles, List<String> databases) {
    }

    /**
     * What to make a branch of.
     *
     * @param schemaOnly whether to leave the parent's data out
     * @param expiresAt RFC 3339, or null for a branch that stays
     * @param suspendTimeoutSeconds 0 for Neon's default, -1 for never
     * @param annotations where the branch came from, at most 50 entries
     */
    record BranchRequest(String name, String parentId, boolean schemaOnly, String expiresAt, int suspendTimeoutSeconds,
            Map<String, String> annotations) {
    }

    /** What to do about a refusal: the first whose pattern is in its status, code and message. KEY stands for where the key is from. */
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
            ^4(02|12)|^4.*(\\bplan\\b|subscription|for your account) -> choose a Neon plan that allows this, or leave out the option for it
            ^403 -> use an API key that may do this, in KEY
            ^404.*\\brole -> check --role-name
            ^404.*\\bdatabase -> check --database-name
            ^404.*\\b(branch|endpoint|compute) -> it was deleted meanwhile: run again
            ^404 -> check --neon-project-id, and that the API key in KEY is for this project
            ^422.*expir -> a branch that expires can have no children: name another with --parent-branch
             -> change what was asked for, or ask Neon's support about the request
            """;

    private final Http http;
    private final URI host;
    private final Secret key;
    private final String keySource;
    private final String project;
    private final Consumer<String> say;

    /**
     * Opens nothing yet. Takes what {@link Http} takes.
     *
     * @param keySource where the key came from, in words, for the advice when Neon refuses it
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

    /** Lists every branch of the project, all pages, oldest first. */
    List<Branch> listProjectBranches() {
        Map<String, Branch> branches = new LinkedHashMap<>();
        Set<String> cursors = new HashSet<>();
        String cursor = "";
        String what = "list the branches of Neon project " + project;
        JsonNode page;
        do {
            // Neon's default order, by time of update, changes while one pages through it.
            page = get("/branches?sort_by=created_at&sort_order=asc&limit=1000" + (cursor.isEmpty() ? "" : "&cursor=" + encode(cursor)),
                    what);
            if (!page.path("branches").isArray()) {
                throw new Failure("Could not " + what + ": Neon's answer holds no list; run again later.");
            }
            elements(page.path("branches")).map(NeonApi::branch).forEach(branch -> branches.put(branch.id(), branch));
            cursor = text(page.path("pagination"), "next");
        } while (!cursor.isEmpty() && !page.path("branches").isEmpty() && cursors.add(cursor));
        return List.copyOf(branches.values());
    }

    /** Returns the branch of exactly this name. */
    Optional<Branch> findBranch(String name) {
        return listProjectBranches().stream().filter(branch -> branch.name().equals(name)).findFirst();
    }

    /** Reads a branch by its id. */
    Branch getProjectBranch(String branchId) {
        return branch(get("/branches/" + branchId, "read Neon branch " + branchId).path("branch"));
    }

    /**
     * Makes a branch with a read-write compute.
     *
     * @return what was made; nothing when the project has a branch of that name by now, be it that another build was faster or that
     *     Neon's answer was lost
     */
    Optional<NewBranch> createProjectBranch(BranchRequest request) {
        return createBranch("/branches", request, body(request));
    }

    /** Makes a branch likewise, and lets Neon mask it by these rules, which goes on when Neon has answered. */
    Optional<NewBranch> createProjectBranchAnonymized(BranchRequest request, ArrayNode maskingRules) {
        ObjectNode branch = body(request);
        ObjectNode body = Http.JSON.createObjectNode().put("start_anonymization", true);
        body.set("annotation_value", branch.remove("annotation_value"));
        body.set("branch_create", branch);
        body.set("masking_rules", maskingRules);
        return createBranch("/branch_anonymized", request, body);
    }

    private Optional<NewBranch> createBranch(String path, BranchRequest request, ObjectNode body) {
        return change("POST", path, body, "create Neon branch '" + request.name() + "' in project " + project,
                () -> findBranch(request.name()).isPresent())
                .map(answer -> new NewBranch(branch(answer.path("branch")), operations(answer), compute(answer),
                        names(answer.path("roles")), names(answer.path("databases"))));
    }

    private static ObjectNode body(BranchRequest request) {
        ObjectNode body = Http.JSON.createObjectNode();
        ObjectNode branch = body.putObject("branch").put("name", request.name()).put("parent_id", request.parentId());
        if (request.schemaOnly()) {
            branch.put("init_source", "schema-only");
        }
        if (request.expiresAt() != null) {
            branch.put("expires_at", request.expiresAt());
        }
        body.putArray("endpoints").add(newCompute(request.suspendTimeoutSeconds()));
        ObjectNode annotations = body.putObject("annotation_value");
        request.annotations().forEach(annotations::put);
        return body;
    }

    /**
     * Tells how far the masking of a branch has come.
     *
     * @return nothing if Neon says that it is no branch to mask, so that its rows are its parent's
     */
    Optional<Masking> getAnonymizedBranchStatus(String branchId) {
        Http.Answer answer = http.send("GET", path("/branches/" + branchId + "/anonymized_status"), null, null);
        if (isNotThere(answer)) {
            return Optional.empty();
        }
        JsonNode status = require(answer, "read how Neon branch " + branchId + " is masked");
        return Optional.of(new Masking(text(status, "state"), clean(text(status, "status_message"))));
    }

    /** Lists the rules that a branch is masked by. */
    List<JsonNode> getMaskingRules(String branchId) {
        return elements(get("/branches/" + branchId + "/masking_rules", "list the masking rules of Neon branch " + branchId)
                .path("masking_rules")).toList();
    }

    /**
     * Gives a branch these rules in place of those it has, and begins to mask it by them: it has been made ready for that, could not be
     * masked, or is to be masked once more.
     *
     * @param found how far the masking had come; where it has gone on since, another build was faster, and nothing is to be done
     */
    void startAnonymization(String branchId, ArrayNode rules, Masking found) {
        String what = "mask Neon branch " + branchId;
        BooleanSupplier hasGoneOn = () -> !getAnonymizedBranchStatus(branchId).map(Masking::state).equals(Optional.of(found.state()));
        ObjectNode body = Http.JSON.createObjectNode();
        body.set("masking_rules", rules);
        change("PATCH", "/branches/" + branchId + "/masking_rules", body, what, hasGoneOn);
        change("POST", "/branches/" + branchId + "/anonymize", null, what, hasGoneOn);
    }

    /** Sets when the branch expires, null for never, which Neon refuses for default and protected branches and for those with children. */
    void updateProjectBranch(String branchId, String expiresAt) {
        send("PATCH", "/branches/" + branchId, expiry(expiresAt), "set when Neon branch " + branchId + " expires");
    }

    /** Likewise, in one try; returns whether there is such a branch. Throws {@link NotNow} if another try may help. */
    boolean updateProjectBranchOnce(Branch branch, String expiresAt) {
        return changeOnce("PATCH", branch, expiry(expiresAt), "set when Neon branch " + branch.label() + " expires");
    }

    private static ObjectNode expiry(String expiresAt) {
        ObjectNode body = Http.JSON.createObjectNode();
        body.putObject("branch").put("expires_at", expiresAt);
        return body;
    }

    /**
     * Begins to reset the branch to the current state of its parent, which Neon refuses for protected and root branches and for those with
     * children; its host and passwords stay. Repeating that changes nothing more. Returns the operations to wait for.
     */
    List<Operation> restoreProjectBranch(String branchId, String parentId) {
        ObjectNode body = Http.JSON.createObjectNode().put("source_branch_id", parentId);
        return operations(send("POST", "/branches/" + branchId + "/restore", body, "reset Neon branch " + branchId));
    }

    /** Deletes a branch for good, in one try; returns whether there was such a branch. Throws {@link NotNow} if another try may help. */
    boolean deleteProjectBranchOnce(Branch branch) {
        return changeOnce("DELETE", branch, null, "delete Neon branch " + branch.label());
    }

    /** Only Neon itself can tell that something is not there: other machines say 404 too, or 200 to everything. */
    private static boolean isNotThere(Http.Answer answer) {
        return answer.status() == 404 && answer.body().path("message").isTextual();
    }

    /** Returns whether there is such a branch. */
    private boolean changeOnce(String method, Branch branch, JsonNode body, String what) {
        Http.Answer answer = http.sendInTime(method, path("/branches/" + branch.id()), body);
        if (answer.status() == 204 || isNotThere(answer)) {
            return false;
        }
        if (answer.isSuccess() && !answer.body().has("branch")) {
            answer = Http.Answer.none(Network.ANOTHERS, answer.requestId());
        }
        if (answer.isTemporary() || answer.isOutcomeUnknown()) {
            throw new NotNow(refusal(answer, what), answer);
        }
        require(answer, what);
        return true;
    }

    /** Waits until Neon's limits leave room for this many requests; returns false when the time does not last for it. */
    boolean awaitRoom(int requests) {
        return http.awaitRoom(requests);
    }

    /** Pauses after a change that was not made for now, the longer the more often that was so; returns false when it would be too long. */
    boolean pauseAfter(NotNow notNow, int times) {
        return http.pauseBeforeNext(times, notNow.answer);
    }

    /** Returns the branch's read-write compute, without which nobody can connect to it; fails if that is disabled. */
    Optional<Compute> readWriteCompute(String branchId) {
        return compute(get("/branches/" + branchId + "/endpoints", "list the computes of Neon branch " + branchId));
    }

    /** Gives the branch a read-write compute, unless there is one by now; returns the operations to wait for. */
    List<Operation> createProjectEndpoint(String branchId, int suspendTimeoutSeconds) {
        ObjectNode body = Http.JSON.createObjectNode();
        body.set("endpoint", newCompute(suspendTimeoutSeconds).put("branch_id", branchId));
        return change("POST", "/endpoints", body, "give Neon branch " + branchId + " a compute",
                () -> readWriteCompute(branchId).isPresent()).map(NeonApi::operations).orElse(List.of());
    }

    /** Lists the names of the branch's roles. */
    List<String> listProjectBranchRoles(String branchId) {
        return names(get("/branches/" + branchId + "/roles", "list the roles of Neon branch " + branchId).path("roles"));
    }

    /** Lists the names of the branch's databases. */
    List<String> listProjectBranchDatabases(String branchId) {
        return names(get("/branches/" + branchId + "/databases", "list the databases of Neon branch " + branchId).path("databases"));
    }

    /**
     * Asks for the connection string of one branch. Always by the branch's id: without one Neon answers for the project's default
     * branch, which is production.
     *
     * @param compute the branch's own read-write compute, which the string has to lead to
     * @param pooled whether to go through Neon's connection pooler; migrations want the direct connection
     * @return a URI that holds no character special to shells and env files: those are percent-encoded, which means the same
     */
    Secret getConnectionURI(String branchId, Compute compute, Login login, boolean pooled) {
        String what = "get the connection string of Neon branch " + branchId;
        String uri = text(get("/connection_uri?branch_id=" + branchId + "&role_name=" + encode(login.role())
                + "&database_name=" + encode(login.database()) + "&pooled=" + pooled, what), "uri");
        ConnectionString.objection(uri, compute, login, pooled).ifPresent(objection -> {
            throw new Failure("Could not " + what + ": Neon's answer " + objection
                    + "; check --api-host and any proxy, or run again later.");
        });
        return new Secret(ConnectionString.percentEncode(uri));
    }

    /** Waits until the operations, which run beside each other, have finished and the branch can be used, and says so on the way. */
    void awaitReady(Branch branch, List<Operation> operations) {
        long start = System.nanoTime();
        List<Operation> running = unfinished(branch, operations.stream());
        String state = branch.state();
        while (!running.isEmpty() || isBusy(state)) {
            pauseBeforeNextLook(branch, "ready", running.isEmpty() ? "it is " + state
                    : running.get(0).action() + " is " + running.get(0).status(), start);
            running = unfinished(branch, running.stream().map(operation -> getProjectOperation(operation.id())));
            if (running.isEmpty() && isBusy(state)) {
                state = getProjectBranch(branch.id()).state();
            }
        }
    }

    /** Other states, such as archived, take connections, and Neon may invent more. */
    private static boolean isBusy(String state) {
        return state.equals("init") || state.equals("resetting");
    }

    private List<Operation> unfinished(Branch branch, Stream<Operation> operations) {
        return operations.filter(operation -> switch (operation.status()) {
            case "finished", "skipped" -> false;
            case "failed", "error", "cancelled" -> throw new Failure("Neon could not make branch '" + branch.name() + "' ready: "
                    + clean(operation.action() + " ended as " + operation.status() + " (operation " + operation.id())
                    + "); run again, or look at the project's operations in the Neon Console.");
            default -> true;
        }).toList();
    }

    private Operation getProjectOperation(String operationId) {
        return operation(get("/operations/" + operationId, "read Neon operation " + operationId).path("operation"));
    }

    /** Waits until the branch is masked, and says so on the way. */
    Masking awaitAnonymized(Branch branch) {
        long start = System.nanoTime();
        while (true) {
            Masking masking = getAnonymizedBranchStatus(branch.id()).orElseThrow(() -> new Failure("Neon branch '" + branch.name()
                    + "' is not there any more, or not to be masked; run again."));
            switch (masking.state()) {
                case "anonymized" -> {
                    return masking;
                }
                case "error" -> throw new Failure("Neon could not mask branch '" + branch.name() + "': " + masking.message()
                        + "; mend the rules if they are the cause, and run again with --masking-rules, which masks it anew.");
                case "initialization_error" -> throw new Failure("Neon could not make branch '" + branch.name() + "' ready to be masked: "
                        + masking.message() + "; delete it in the Neon Console, and the next run makes it anew.");
                default -> pauseBeforeNextLook(branch, "masked",
                        "it is " + masking.state() + (masking.message().isEmpty() ? "" : ", " + masking.message()), start);
            }
        }
    }

    /** Says that there is something to wait for once that has taken a second, as a new branch may, and every three seconds from then on. */
    private void pauseBeforeNextLook(Branch branch, String what, String waitsFor, long startNanos) {
        long waited = (System.nanoTime() - startNanos) / 1_000_000;
        long pause = Math.min(100 + waited / 10, 1000);
        if ((waited + 2000) / 3000 < (waited + pause + 2000) / 3000) {
            say.accept("Waiting for Neon branch '" + branch.name() + "' to be " + what + ": " + clean(waitsFor) + ".");
        }
        if (!http.pause(Duration.ofMillis(pause))) {
            throw new Failure("Neon branch '" + branch.name() + "' is not " + what + " yet (" + clean(waitsFor)
                    + "); run again, which goes on with the same branch, or give it longer with --wait.");
        }
    }

    private JsonNode get(String path, String what) {
        return send("GET", path, null, what);
    }

    /** Sends a request that may be acted on twice. */
    private JsonNode send(String method, String path, JsonNode body, String what) {
        return require(http.send(method, path(path), body, null), what);
    }

    /** Sends a request that is not to be acted on twice: where it makes no sense now, or its answer is lost, looks whether it was done. */
    private Optional<JsonNode> change(String method, String path, JsonNode body, String what, BooleanSupplier isDone) {
        Http.Answer answer = http.send(method, path(path), body, isDone);
        boolean mayBeDone = answer != null && List.of(400, 409, 422).contains(answer.status()) && !answer.isTemporary();
        return answer == null || mayBeDone && isDone.getAsBoolean() ? Optional.empty() : Optional.of(require(answer, what));
    }

    private JsonNode require(Http.Answer answer, String what) {
        if (!answer.isSuccess()) {
            throw new Failure(refusal(answer, what));
        }
        return answer.body();
    }

    /** Says that there is no answer, or one that refuses what the request was to do, in words that follow "could not". */
    private String refusal(Http.Answer answer, String what) {
        if (answer.status() == Http.NONE) {
            return "Could not " + what + switch (answer.reason()) {
                case Deadline.OVER -> " within --wait; run again, which goes on where this run stopped, or give it longer with --wait.";
                case Network.ANOTHERS -> ": " + host + " answered with something that is not Neon's (request " + answer.requestId()
                        + "); check --api-host and any proxy, or run again later.";
                default -> ": no answer from " + host + " (" + answer.reason() + "); " + Network.advice(answer.reason()) + ".";
            };
        }
        String code = clean(text(answer.body(), "code"));
        String message = clean(text(answer.body(), "message"));
        return "Could not " + what + ": Neon answered " + answer.status() + (code.isEmpty() ? "" : " " + code)
                + (message.isEmpty() ? "" : ", " + message) + " (request " + clean(answer.requestId()) + "); " + advice(answer) + ".";
    }

    private String advice(Http.Answer answer) {
        String refusal = answer.status() + " " + text(answer.body(), "code") + " " + text(answer.body(), "message");
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
    private static String id(JsonNode thing, String what) {
        String id = text(thing, "id");
        if (!ID.matcher(id).matches()) {
            throw new Failure("Could not read " + what + ": Neon's answer holds no id of it; run again later.");
        }
        return id;
    }

    private static ObjectNode newCompute(int suspendTimeoutSeconds) {
        ObjectNode compute = Http.JSON.createObjectNode().put("type", "read_write");
        // Some plans refuse any value, so Neon's default is asked for by leaving the field out.
        return suspendTimeoutSeconds == 0 ? compute : compute.put("suspend_timeout_seconds", suspendTimeoutSeconds);
    }

    /** Returns a time as Java writes it, or null for none. */
    private static String time(String text) {
        try {
            return text == null ? null : OffsetDateTime.parse(text).toInstant().toString();
        } catch (DateTimeParseException e) {
            throw new Failure("Could not read a Neon branch: Neon's answer holds no time that makes sense; run again later.", e);
        }
    }

    private static Branch branch(JsonNode branch) {
        return new Branch(id(branch, "a Neon branch"), text(branch, "name"), branch.path("parent_id").asText(null),
                branch.path("current_state").asText("ready"), branch.path("default").asBoolean(), branch.path("protected").asBoolean(),
                time(branch.path("expires_at").asText(null)), text(branch, "init_source").equals("schema-only"),
                elements(branch.path("restricted_actions")).noneMatch(action -> text(action, "name").equals("restore")));
    }

    private static Operation operation(JsonNode operation) {
        return new Operation(id(operation, "a Neon operation"), operation.path("action").asText("an operation"), text(operation, "status"));
    }

    private static List<Operation> operations(JsonNode answer) {
        return elements(answer.path("operations")).map(NeonApi::operation).toList();
    }

    private static Optional<Compute> compute(JsonNode answer) {
        var compute = elements(answer.path("endpoints")).filter(endpoint -> text(endpoint, "type").equals("read_write")).findFirst();
        return compute.map(endpoint -> {
            String id = id(endpoint, "a compute of a Neon branch");
            if (endpoint.path("disabled").asBoolean()) {
                throw new Failure("The compute " + id + " of the Neon branch is disabled; enable it in the Neon Console, then run again.");
            }
            return new Compute(id, text(endpoint, "host"), endpoint.path("suspend_timeout_seconds").asLong());
        });
    }

    private static List<String> names(JsonNode list) {
        return elements(list).map(element -> text(element, "name")).toList();
    }

    private static String text(JsonNode thing, String name) {
        return thing.path(name).asText("");
    }

    private static Stream<JsonNode> elements(JsonNode list) {
        return StreamSupport.stream(list.spliterator(), false);
    }
}
