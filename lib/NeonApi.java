import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.SocketTimeoutException;
import java.net.URLEncoder;
import java.net.UnknownHostException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The requests of Neon's API v2 that neon-ci makes, each a method named after Neon's operation, for one project.
 *
 * <p>Facts are from Neon's OpenAPI document. The API key goes to the one host it was given for and nowhere else: redirects are not
 * followed. Nothing of an answer is shown but its status, code, request id, and message, and that with every secret taken out.
 */
final class NeonApi {

    static final ObjectMapper JSON = new ObjectMapper();

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

    /** A failure that Neon reported, or a request that got no answer (status 0). */
    static final class NeonException extends Failure {

        final int status;
        final String code;
        private final String neonMessage;
        private final Duration retryAfter;

        private NeonException(String sentence, int status, String code, String neonMessage, Duration retryAfter, Throwable cause) {
            super(sentence, cause);
            this.status = status;
            this.code = code;
            this.neonMessage = neonMessage;
            this.retryAfter = retryAfter;
        }

        /** Tells whether Neon may have acted all the same: the answer was lost, or made by something between Neon and here. */
        boolean isOutcomeUnknown() {
            return status == 0 || status == 408 || status >= 500 && status != 503;
        }

        /**
         * Tells whether Neon refused for now, having changed nothing: 423 (the project is locked by running operations), 429 (too many
         * requests) and 503 are safe to repeat whatever the method. That a branch is not ready yet has no code of its own.
         */
        private boolean isTemporary() {
            return status == 423 || status == 429 || status == 503 || isNotReady(status, neonMessage);
        }
    }

    private static boolean isNotReady(int status, String message) {
        return status == 422 && message.toLowerCase(Locale.ROOT).contains("not ready");
    }

    /** An answer that was received whole. */
    private record Answer(int status, byte[] body, String retryAfter) {
    }

    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration READ_TIMEOUT = Duration.ofSeconds(30);

    /** How often a request that gets no answer is made; with growing pauses that outlasts a short outage. */
    private static final int TRIES_WITHOUT_ANSWER = 6;
    private static final long FIRST_PAUSE_MILLIS = 250;
    private static final long LONGEST_PAUSE_MILLIS = 10_000;

    /** Neon allows 40 requests a second on a route and 700 a minute for an account; other builds need some of those. */
    private static final int REQUESTS_A_SECOND = 30;
    private static final int REQUESTS_A_MINUTE = 600;

    private static final Pattern CONNECTION_STRING = Pattern.compile("postgres(ql)?://.+@[^@/]+/.+", Pattern.DOTALL);

    /**
     * Connection strings, percent-encoded ones too, and all that follows one, for who knows where it ends; a password before its host;
     * and what Neon's passwords and API keys begin with, whatever stands before it.
     */
    private static final Pattern SECRET_SHAPED =
            Pattern.compile("(?is)postgres(ql)?(:|%3A).*|[^\\s:@]+:[^\\s@]+@\\S+|(npg|napi)_\\w+");

    private static final int BRANCHES_A_PAGE = 1000;
    private static final Duration BETWEEN_WAIT_LINES = Duration.ofSeconds(3);
    private static final int LONGEST_MESSAGE = 300;

    private final String host;
    private final Secret key;
    private final String keySource;
    private final String project;
    private final Instant deadline;
    private final Consumer<String> say;
    private final Consumer<String> verbose;
    private final long[] requestNanos = new long[REQUESTS_A_MINUTE];
    private int requests;
    private Instant lastWaitLine = Instant.EPOCH;

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
    NeonApi(URI host, Secret key, String keySource, String project, Instant deadline, Consumer<String> say, Consumer<String> verbose) {
        // A header cannot hold other characters, and Java's complaint would show the key.
        if (!key.value().matches("[\\x21-\\x7e]+")) {
            throw new Failure("The value of " + keySource
                    + " is no Neon API key: it is empty, or has a space or a line break in it; store the key alone.");
        }
        this.host = host.toString();
        this.key = key;
        this.keySource = keySource;
        this.project = project;
        this.deadline = deadline;
        this.say = say;
        this.verbose = verbose;
    }

    /**
     * Lists every branch of the project, all pages, in a stable order.
     *
     * @throws NeonException if a page cannot be read
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
            page = send("GET", projectPath("/branches"), "?sort_by=created_at&sort_order=asc&limit=" + BRANCHES_A_PAGE
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
        return branch(send("GET", branchPath(branchId, ""), "", null, true, "read Neon branch " + branchId).path("branch"));
    }

    /**
     * Makes a branch with a read-write compute.
     *
     * @return what was made; nothing when the project has a branch of that name by now, be it that another build was faster or that
     *     Neon's answer was lost
     * @throws NeonException if Neon refuses
     */
    Optional<NewBranch> createProjectBranch(BranchRequest request) {
        ObjectNode body = JSON.createObjectNode();
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
        return create(projectPath("/branches"), body, "create Neon branch '" + request.name() + "' in project " + project,
                () -> findBranch(request.name()).isPresent())
                .map(answer -> new NewBranch(branch(answer.path("branch")), operations(answer), hasCompute(answer),
                        names(answer.path("roles")), names(answer.path("databases"))));
    }

    /**
     * Sets when the branch expires.
     *
     * @throws NeonException if Neon refuses, as it does for default and protected branches and for those with children
     */
    void updateProjectBranch(String branchId, Instant expiresAt) {
        ObjectNode body = JSON.createObjectNode();
        body.putObject("branch").put("expires_at", expiresAt.toString());
        send("PATCH", branchPath(branchId, ""), "", body, true, "set when Neon branch " + branchId + " expires");
    }

    /**
     * Begins to reset the branch to the current state of its parent; its host and passwords stay. Repeating that changes nothing more.
     *
     * @return the operations to wait for
     * @throws NeonException if Neon refuses, as it does for protected and root branches and for those with children
     */
    List<Operation> restoreProjectBranch(String branchId, String parentId) {
        ObjectNode body = JSON.createObjectNode().put("source_branch_id", parentId);
        return operations(send("POST", branchPath(branchId, "/restore"), "", body, true, "reset Neon branch " + branchId));
    }

    /** Deletes a branch for good. One that is gone already is no failure. */
    void deleteProjectBranch(String branchId) {
        try {
            send("DELETE", branchPath(branchId, ""), "", null, true, "delete Neon branch " + branchId);
        } catch (NeonException e) {
            if (e.status != 404) {
                throw e;
            }
        }
    }

    /** Tells whether the branch has a read-write compute, without which nobody can connect to it. */
    boolean hasReadWriteCompute(String branchId) {
        return hasCompute(send("GET", branchPath(branchId, "/endpoints"), "", null, true, "list the computes of Neon branch " + branchId));
    }

    /**
     * Gives the branch a read-write compute.
     *
     * @param suspendTimeoutSeconds 0 for Neon's default, -1 for never
     * @return the operations to wait for
     * @throws NeonException if Neon refuses, and not because there is one by now
     */
    List<Operation> createProjectEndpoint(String branchId, int suspendTimeoutSeconds) {
        ObjectNode body = JSON.createObjectNode();
        body.set("endpoint", readWriteCompute(suspendTimeoutSeconds).put("branch_id", branchId));
        return create(projectPath("/endpoints"), body, "give Neon branch " + branchId + " a compute", () -> hasReadWriteCompute(branchId))
                .map(NeonApi::operations).orElse(List.of());
    }

    /** Lists the names of the branch's roles. */
    List<String> listProjectBranchRoles(String branchId) {
        return names(send("GET", branchPath(branchId, "/roles"), "", null, true, "list the roles of Neon branch " + branchId).path("roles"));
    }

    /** Lists the names of the branch's databases. */
    List<String> listProjectBranchDatabases(String branchId) {
        return names(send("GET", branchPath(branchId, "/databases"), "", null, true, "list the databases of Neon branch " + branchId)
                .path("databases"));
    }

    /**
     * Asks for the connection string of one branch. Always by the branch's id: without one Neon answers for the project's default
     * branch, which is production.
     *
     * @param pooled whether to go through Neon's connection pooler; migrations want the direct connection
     * @return a URI that holds no character special to shells and env files: those are percent-encoded, which means the same
     * @throws NeonException if there is no such role or database, or no compute
     */
    Secret getConnectionURI(String branchId, Login login, boolean pooled) {
        String what = "get the connection string of Neon branch " + branchId;
        JsonNode answer = send("GET", projectPath("/connection_uri"), "?branch_id=" + requireId(branchId, what)
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
        Instant worthALine = Instant.now().plus(BETWEEN_WAIT_LINES);
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
            String waitsFor = clean(left.isEmpty() ? "it is " + state : left.peekFirst().action() + " is " + left.peekFirst().status());
            if (Instant.now().plus(pause).isAfter(deadline)) {
                throw new Failure("Neon branch '" + branch.name() + "' is not ready yet (" + waitsFor
                        + "); run again, which goes on with the same branch, or give it longer with --wait.");
            }
            // Each new branch takes a moment.
            if (Instant.now().isAfter(worthALine)) {
                sayWaiting("Waiting for Neon branch '" + branch.name() + "' to be ready: " + waitsFor + ".");
            }
            sleep(pause);
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
                    + clean(operation.action() + " ended as " + operation.status() + " (operation " + operation.id())
                    + "); run again, or look at the project's operations in the Neon Console.");
            default -> false;
        };
    }

    private Operation getProjectOperation(String operationId) {
        return operation(send("GET", projectPath("/operations/" + requireId(operationId, "read a Neon operation")), "", null, true,
                "read Neon operation " + operationId).path("operation"));
    }

    /**
     * Sends a request that makes something and must not be repeated blindly: when it is refused, or its answer is lost, looks first
     * whether the thing is there.
     *
     * @return the answer; nothing when the thing is there and the answer is not
     */
    private Optional<JsonNode> create(String path, JsonNode body, String what, BooleanSupplier isThere) {
        for (int attempt = 0; ; attempt++) {
            try {
                return Optional.of(send("POST", path, "", body, false, what));
            } catch (NeonException e) {
                boolean isTaken = e.status == 409 || e.status == 422;
                if (!isTaken && !e.isOutcomeUnknown()) {
                    throw e;
                }
                if (!isTaken) {
                    pauseBeforeNext(attempt, e);
                }
                if (isThere.getAsBoolean()) {
                    return Optional.empty();
                }
                if (isTaken) {
                    throw e;
                }
            }
        }
    }

    /**
     * Sends a request, and again as long as that can help.
     *
     * @param query begins with a question mark, or is empty; never logged
     * @param isRepeatable whether the request may be made twice when it is not known if the first was acted on
     * @param what what it does, in words that follow "could not"
     * @return the answer's body; of a body that nobody needs, possibly nothing
     */
    private JsonNode send(String method, String path, String query, JsonNode body, boolean isRepeatable, String what) {
        for (int attempt = 0; ; attempt++) {
            try {
                return sendOnce(method, path, query, body, what);
            } catch (NeonException e) {
                if (!e.isTemporary() && !(isRepeatable && e.isOutcomeUnknown())) {
                    throw e;
                }
                pauseBeforeNext(attempt, e);
            }
        }
    }

    private JsonNode sendOnce(String method, String path, String query, JsonNode body, String what) {
        pace();
        String requestId = new UUID(ThreadLocalRandom.current().nextLong(), ThreadLocalRandom.current().nextLong()).toString();
        byte[] bytes = body == null ? null : body.toString().getBytes(StandardCharsets.UTF_8);
        long start = System.nanoTime();
        Answer answer;
        try {
            answer = method.equals("PATCH") ? patch(path, bytes, requestId) : exchange(method, path + query, bytes, requestId);
        } catch (IOException e) {
            log(method, path, "no answer", start, requestId);
            throw new NeonException("Could not " + what + ": no answer from " + host + " (" + reason(e)
                    + "); run again later.", 0, "", "", null, e);
        }
        log(method, path, String.valueOf(answer.status()), start, requestId);
        JsonNode json = parse(answer.body());
        if (answer.status() / 100 != 2) {
            throw refusal(answer, json, requestId, what);
        }
        // Only the answer for a branch that was gone already has no body.
        if (json == null && !(answer.status() == 204 && method.equals("DELETE"))) {
            throw new NeonException("Could not " + what + ": " + host + " answered with something that is not Neon's (request "
                    + requestId + "); check --api-host and any proxy, or run again later.", 0, "", "", null, null);
        }
        return json;
    }

    private Answer exchange(String method, String pathAndQuery, byte[] body, String requestId) throws IOException {
        // Of the JDK's two clients this one has been loaded by the AWS SDK already, and does not hold up the exit of Java 17.
        HttpURLConnection connection = (HttpURLConnection) URI.create(host + pathAndQuery).toURL().openConnection();
        connection.setRequestMethod(method);
        connection.setInstanceFollowRedirects(false);
        connection.setUseCaches(false);
        connection.setConnectTimeout((int) timeout(CONNECT_TIMEOUT).toMillis());
        connection.setReadTimeout((int) timeout(READ_TIMEOUT).toMillis());
        headers(requestId).forEach(connection::setRequestProperty);
        if (body != null) {
            connection.setDoOutput(true);
            connection.setRequestProperty("Content-Type", "application/json");
            // With a length set beforehand the JDK does not silently send a lost POST again.
            connection.setFixedLengthStreamingMode(body.length);
            try (OutputStream out = connection.getOutputStream()) {
                out.write(body);
            }
        }
        int status = connection.getResponseCode();
        if (status < 0) {
            throw new IOException("not HTTP");
        }
        InputStream in = status < 400 ? connection.getInputStream() : connection.getErrorStream();
        byte[] bytes = in == null ? new byte[0] : readWhole(in, connection.getContentLengthLong());
        return new Answer(status, bytes, connection.getHeaderField("Retry-After"));
    }

    /** HttpURLConnection knows no PATCH. */
    private Answer patch(String path, byte[] body, String requestId) throws IOException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(host + path))
                .header("Content-Type", "application/json")
                .method("PATCH", HttpRequest.BodyPublishers.ofByteArray(body));
        headers(requestId).forEach(request::header);
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(timeout(CONNECT_TIMEOUT)).build();
        CompletableFuture<HttpResponse<byte[]>> exchange = client.sendAsync(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        try {
            // A timeout of the request's own would end with the answer's headers, and a body may never come.
            HttpResponse<byte[]> response = exchange.get(timeout(READ_TIMEOUT).toMillis(), TimeUnit.MILLISECONDS);
            return new Answer(response.statusCode(), response.body(), response.headers().firstValue("Retry-After").orElse(null));
        } catch (InterruptedException e) {
            throw interrupted();
        } catch (TimeoutException e) {
            exchange.cancel(true);
            throw new HttpTimeoutException("timed out");
        } catch (ExecutionException e) {
            throw e.getCause() instanceof IOException lost ? lost : new IOException("no connection", e.getCause());
        }
    }

    private Map<String, String> headers(String requestId) {
        return Map.of("Authorization", "Bearer " + key.value(), "Accept", "application/json", "User-Agent", "neon-ci",
                "X-Request-ID", requestId);
    }

    /** A timeout that leaves time to try again before the deadline, but is not so short that nothing could be read. */
    private Duration timeout(Duration usual) {
        Duration half = Duration.between(Instant.now(), deadline).dividedBy(2);
        return half.compareTo(usual) > 0 ? usual : half.toMillis() > 1000 ? half : Duration.ofSeconds(1);
    }

    /** Reads to the end. The JDK takes an end that comes too early for the end. */
    private byte[] readWhole(InputStream in, long contentLength) throws IOException {
        try (in) {
            ByteArrayOutputStream whole = new ByteArrayOutputStream();
            byte[] buffer = new byte[8192];
            for (int count; (count = in.read(buffer)) >= 0; ) {
                whole.write(buffer, 0, count);
                if (Instant.now().isAfter(deadline.plusSeconds(1))) {
                    throw new IOException("the answer takes too long");
                }
            }
            if (contentLength > whole.size()) {
                throw new IOException("the answer was cut off");
            }
            return whole.toByteArray();
        }
    }

    private NeonException refusal(Answer answer, JsonNode json, String requestId, String what) {
        JsonNode error = json == null ? JSON.createObjectNode() : json;
        String code = clean(error.path("code").asText(""));
        String message = clean(error.path("message").asText(""));
        String id = clean(error.path("request_id").asText(requestId));
        String advice = switch (answer.status()) {
            case 401 -> "check the API key in " + keySource;
            case 403 -> "use an API key that may do this, in " + keySource;
            case 404 -> "check --neon-project-id, and that the API key in " + keySource + " is for this project";
            case 423 -> "Neon is at work on this project; run again later, or give it longer with --wait";
            case 301, 302, 303, 307, 308 -> "check --api-host and any proxy: no redirect is followed with an API key";
            default -> isNotReady(answer.status(), message) ? "run again later, or give it longer with --wait"
                    : code.contains("LIMIT_EXCEEDED") ? "delete branches, with cleanup-branches for one, or raise the plan's limit"
                    : answer.status() >= 500 || answer.status() == 429 ? "run again later"
                    : "change what was asked for, or ask Neon's support about the request";
        };
        return new NeonException("Could not " + what + ": Neon answered " + answer.status()
                + (code.isEmpty() ? "" : " " + code) + (message.isEmpty() ? "" : ", " + message)
                + " (request " + id + "); " + advice + ".", answer.status(), code, message, retryAfter(answer.retryAfter()), null);
    }

    /** Keeps a text from elsewhere to one line of moderate length without anything that is, or looks like, a secret. */
    private String clean(String text) {
        String line = text.replace(key.value(), "***").replace(URLEncoder.encode(key.value(), StandardCharsets.UTF_8), "***");
        line = SECRET_SHAPED.matcher(line).replaceAll("***").replaceAll("[\\s\\p{Cntrl}]+", " ").strip();
        line = line.endsWith(".") ? line.substring(0, line.length() - 1) : line;
        return line.length() > LONGEST_MESSAGE ? line.substring(0, LONGEST_MESSAGE) + "..." : line;
    }

    private static String reason(IOException e) {
        return e instanceof UnknownHostException ? "unknown host"
                : e instanceof SocketTimeoutException || e instanceof HttpTimeoutException ? "timed out"
                : e.getMessage() == null ? "no connection" : e.getMessage();
    }

    /** Reads a Retry-After header, which counts seconds or names a date; null when there is none that makes sense. */
    private static Duration retryAfter(String header) {
        if (header == null) {
            return null;
        }
        try {
            return header.strip().matches("\\d{1,6}") ? Duration.ofSeconds(Long.parseLong(header.strip()))
                    : Duration.between(Instant.now(), ZonedDateTime.parse(header.strip(), DateTimeFormatter.RFC_1123_DATE_TIME));
        } catch (DateTimeParseException e) {
            return null;
        }
    }

    /**
     * Pauses before a request is made again: a random time, so that builds that collided do not do so again, after the time that Neon
     * asks for.
     *
     * @throws NeonException the failure, when the next try would be one too many or too late
     */
    private void pauseBeforeNext(int attempt, NeonException failure) {
        long longest = Math.min(FIRST_PAUSE_MILLIS << Math.min(attempt, 10), LONGEST_PAUSE_MILLIS);
        Duration pause = Duration.ofMillis(ThreadLocalRandom.current().nextLong(1, longest + 1));
        if (failure.retryAfter != null && !failure.retryAfter.isNegative()) {
            pause = pause.plus(failure.retryAfter);
        }
        if (failure.isOutcomeUnknown() && attempt + 1 >= TRIES_WITHOUT_ANSWER || Instant.now().plus(pause).isAfter(deadline)) {
            throw failure;
        }
        String why = switch (failure.status) {
            case 0 -> "Neon did not answer";
            case 422, 423 -> "Neon is at work on this project (" + failure.status + ")";
            case 429 -> "Neon has had too many requests (429)";
            default -> "Neon is not available (" + failure.status + ")";
        };
        sayWaiting(String.format(Locale.ROOT, "%s; trying again in %.1f s.", why, pause.toMillis() / 1000.0));
        sleep(pause);
    }

    /** Says what is waited for, at once and then every few seconds, however many requests wait. */
    private synchronized void sayWaiting(String line) {
        if (Instant.now().isAfter(lastWaitLine.plus(BETWEEN_WAIT_LINES))) {
            lastWaitLine = Instant.now();
            say.accept(line);
        }
    }

    /** Keeps below Neon's limits: each request takes the next place in a timetable, and waits for its time. */
    private void pace() {
        long due = System.nanoTime();
        synchronized (requestNanos) {
            if (requests >= REQUESTS_A_SECOND) {
                due = Math.max(due, requestNanos[(requests - REQUESTS_A_SECOND) % REQUESTS_A_MINUTE] + 1_000_000_000L);
            }
            if (requests >= REQUESTS_A_MINUTE) {
                due = Math.max(due, requestNanos[requests % REQUESTS_A_MINUTE] + 60_000_000_000L);
            }
            requestNanos[requests++ % REQUESTS_A_MINUTE] = due;
        }
        sleep(Duration.ofNanos(due - System.nanoTime()));
    }

    private static void sleep(Duration duration) {
        try {
            Thread.sleep(Math.max(0, duration.toMillis()));
        } catch (InterruptedException e) {
            throw interrupted();
        }
    }

    private static Failure interrupted() {
        Thread.currentThread().interrupt();
        return new Failure("Interrupted; run again, which goes on where this run stopped.");
    }

    private void log(String method, String path, String outcome, long startNanos, String requestId) {
        verbose.accept(method + " " + path + " " + outcome + " " + (System.nanoTime() - startNanos) / 1_000_000 + " ms " + requestId);
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
        ObjectNode compute = JSON.createObjectNode().put("type", "read_write");
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

    private static JsonNode parse(byte[] body) {
        try {
            JsonNode json = JSON.readTree(body);
            return json != null && json.isObject() ? json : null;
        } catch (IOException e) {
            return null;
        }
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
